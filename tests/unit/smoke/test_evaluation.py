from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from bakehouse.cloud.machine_observation import MachineObservation
from bakehouse.cloud.operations import InstanceEvent
from bakehouse.core.reasons import Reason
from bakehouse.smoke.evaluation import Check, evaluate_smoke_test

LIMIT = timedelta(seconds=60)
GOOD = {"name": "page", "ok": True}
BAD = {"name": "port 80", "ok": False, "hint": "does nginx run?", "detail": "refused"}


def facts(status: str | None = "RUNNING", **known: Any) -> MachineObservation:
    return MachineObservation(name="smoke-web-1", status=status, **known)


def report(result: str, *checks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"result": result, "checks": list(checks), "ready_seconds": 12.5, **more}


def test_every_check_passed() -> None:
    verdict = evaluate_smoke_test(facts(said=(report("ok", GOOD),)), LIMIT)
    assert verdict is not None
    assert verdict.ok
    assert verdict.ready_seconds == pytest.approx(12.5)


def test_the_verdict_says_that_a_machine_was_simulated() -> None:
    said = report("ok", GOOD, note="an instant machine installs nothing")
    verdict = evaluate_smoke_test(facts(said=(said,)), LIMIT)
    assert verdict is not None
    assert verdict.message == "1 check passed; an instant machine installs nothing"


def test_the_guest_attribute_alone_is_enough() -> None:
    verdict = evaluate_smoke_test(
        facts(attributes={"smoke": json.dumps(report("ok", GOOD))}), LIMIT
    )
    assert verdict is not None
    assert verdict.ok


def test_a_failed_check_is_named_with_its_hint() -> None:
    verdict = evaluate_smoke_test(facts(said=(report("failed", GOOD, BAD),)), LIMIT)
    assert verdict is not None
    assert verdict.reason is Reason.SMOKE_FAILED
    assert verdict.message == "failed: port 80"
    assert str(verdict.checks[1]) == "FAILED  port 80  refused (hint: does nginx run?)"


def test_ok_with_a_failed_check_is_not_ok() -> None:
    verdict = evaluate_smoke_test(facts(said=(report("ok", BAD),)), LIMIT)
    assert verdict is not None
    assert verdict.reason is Reason.SMOKE_FAILED


def test_an_error_before_the_checks_is_told() -> None:
    error = {"script": "boot.sh", "message": "'greeting' is undefined"}
    verdict = evaluate_smoke_test(facts(said=(report("failed", error=error),)), LIMIT)
    assert verdict is not None
    assert "'greeting' is undefined" in verdict.message


def test_ready_too_late() -> None:
    verdict = evaluate_smoke_test(facts(said=(report("ok", GOOD, ready_seconds=61),)), LIMIT)
    assert verdict is not None
    assert verdict.reason is Reason.BOOT_TOO_SLOW


def test_a_hanging_image_has_failed_with_its_last_word() -> None:
    late = facts(late=True, attributes={"health": '{"state": "unhealthy"}'})
    verdict = evaluate_smoke_test(late, LIMIT)
    assert verdict is not None
    assert (verdict.reason, verdict.says_nothing) == (Reason.SILENT, False)
    assert "unhealthy" in verdict.message


@pytest.mark.parametrize(
    ("lost", "word"),
    [
        (facts(None), "deleted by somebody"),
        (facts(None, instance_events=(InstanceEvent("insert", "", "no capacity"),)), "no capacity"),
        (facts(None, instance_events=(InstanceEvent("delete", "jo"),)), "delete by jo"),
        (facts("TERMINATED"), "TERMINATED"),
    ],
)
def test_a_lost_machine_says_nothing_about_the_image(lost: MachineObservation, word: str) -> None:
    verdict = evaluate_smoke_test(lost, LIMIT)
    assert verdict is not None
    assert verdict.says_nothing
    assert word in verdict.message


@pytest.mark.parametrize("told", ["no json", "[]", '{"checks": 3}', '{"result": null}'])
def test_a_report_that_makes_no_sense_is_a_failure(told: str) -> None:
    verdict = evaluate_smoke_test(facts(attributes={"smoke": told}), LIMIT)
    assert verdict is not None
    assert verdict.reason is Reason.SMOKE_FAILED


def test_a_machine_that_still_checks_is_waited_for() -> None:
    assert evaluate_smoke_test(facts(said=({"check": GOOD},)), LIMIT) is None


def test_a_check_shows_its_description() -> None:
    check = Check(name="page", ok=True, description="serves the page", detail="200")
    assert str(check) == "passed  page  serves the page: 200"


def test_why_an_image_boots_unhealthy_is_told_in_words() -> None:
    said = "the image boots unhealthy, asked 7 times: app.service has failed (exit code 1)"
    error = {"script": "boot.sh", "line": 0, "command": "", "exit_code": None, "message": said}
    verdict = evaluate_smoke_test(facts(said=(report("failed", error=error),)), LIMIT)
    assert verdict is not None
    assert verdict.message == f"failed: boot.sh: {said}"
