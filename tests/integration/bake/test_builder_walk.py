"""The tasks of a bake that make and watch its builder, against a real localgce."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.ledger import of_kind

from bakehouse.cloud.errors import Meaning
from bakehouse.core.errors import PermanentError, TransientError, ZoneUnavailable
from bakehouse.core.reasons import Reason
from bakehouse.history.bake_events import BuilderFailedEvent, VerdictEvent

from .test_walk import DECLINED, events, image_of, machines, nothing_is_left
from .walk import Walk

if TYPE_CHECKING:
    from devstack.gce_api import Compute

RUNS = count(1)
GONE = "compute.instances.getGuestAttributes"


def walk(recipe: str = "loaf", **params: Any) -> Walk:
    return Walk(recipe, f"builder__{next(RUNS)}", force=True, **params)


def instance(compute: Compute, run: Walk) -> dict[str, Any]:
    vm = run.handed["create_builder"]
    found: dict[str, Any] = compute.call("GET", f"zones/{vm['zone']}/instances/{vm['name']}")
    return found


@pytest.mark.long
def test_a_bake_needs_no_guest_attributes_of_any_machine(compute: Compute) -> None:
    compute.fault(kind="http", method=GONE, status=403, times=1000)
    run = walk()
    run.through("promote_image")
    run.tear_down()
    assert image_of(compute, run)["family"] == "loaf"
    assert image_of(compute, run)["labels"]["packages"] == "4"
    assert nothing_is_left(compute, run)


@pytest.mark.long
@pytest.mark.usefixtures("compute")
def test_each_check_is_told_with_its_hint_and_ready_is_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = walk(vars={"instant_fail_check": "the page is served"})
    run.through("label_image")
    with pytest.raises(PermanentError, match=r"failed: the page is served\n"):
        run.try_("smoke_test")
    told = capsys.readouterr().out
    assert "check passed  the templates render" in told
    assert "check FAILED  the page is served (hint: an instant machine runs no commands)" in told
    assert "ready 0.2 s after power-on" in told
    run.tear_down()
    (verdict,) = of_kind(VerdictEvent, events(run))
    assert verdict.detail.ready_seconds == pytest.approx(0.2)
    assert [check.ok for check in verdict.detail.checks] == [True, False]


def test_what_the_recipe_asks_for_reaches_compute_engine(compute: Compute) -> None:
    run = walk("bun")
    run.through("create_builder")
    vm = instance(compute, run)
    assert vm["scheduling"]["provisioningModel"] == "SPOT"
    assert vm["scheduling"]["instanceTerminationAction"] == "DELETE"
    assert vm["scheduling"]["maxRunDuration"] == {"seconds": "4500"}
    assert vm["shieldedInstanceConfig"]["enableSecureBoot"] is True
    assert vm["tags"]["items"] == ["builders"]
    assert [account["scopes"] for account in vm["serviceAccounts"]] == [
        ["https://www.googleapis.com/auth/devstorage.read_only"]
    ]
    assert "accessConfigs" not in vm["networkInterfaces"][0]
    run.through("create_image", "wait_for_shutdown")
    image = image_of(compute, run)
    assert {"type": "UEFI_COMPATIBLE"} in image["guestOsFeatures"]
    assert image["imageEncryptionKey"]["kmsKeyName"].endswith("cryptoKeys/k")
    run.tear_down()
    assert nothing_is_left(compute, run)


def test_a_stock_out_answered_at_once_goes_to_the_next_zone(compute: Compute) -> None:
    text = "The zone does not have enough resources available to fulfill the request."
    compute.fault(kind="http", method=DECLINED, status=503, message=text, times=2)
    run = walk("bun")
    run.through("need_bake")
    assert run.try_("create_builder")["zone"] == "us-central1-c", "within the same try"
    run.tear_down()


def test_when_no_zone_has_any_the_next_try_begins_elsewhere(compute: Compute) -> None:
    compute.fault(kind="operation", method=DECLINED, code="STOCKOUT", times=3)
    run = walk("bun")
    run.through("need_bake")
    with pytest.raises(ZoneUnavailable):
        run.try_("create_builder")
    assert run.try_("create_builder")["zone"] == "us-central1-b"
    run.tear_down()
    assert nothing_is_left(compute, run)


def test_a_quota_is_waited_for_until_a_deadline(
    compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bakehouse.operators.base.BLOCKED_AT_MOST", timedelta(0))
    monkeypatch.setattr(
        "bakehouse.cloud.errors._BY_CODE", {"QUOTA_EXCEEDED": (Meaning.BLOCKED, 0.1)}
    )
    compute.fault(kind="operation", method=DECLINED, code="QUOTA_EXCEEDED", times=1000)
    run = walk()
    run.through("need_bake")
    with pytest.raises(TransientError, match="blocked for"):
        run.try_("create_builder")
    run.tear_down()
    assert nothing_is_left(compute, run)


@pytest.mark.long
def test_a_preempted_spot_machine_is_no_failure_and_is_tried_elsewhere(
    compute: Compute,
) -> None:
    run = walk("bun", vars={"instant_hang": "install"})
    run.through("create_builder")
    first = run.handed["create_builder"]
    rule = {"kind": "preempt", "instance": first["name"]}
    threading.Timer(1.5, compute.fault, kwargs=rule).start()
    with pytest.raises(ZoneUnavailable, match="the spot VM was preempted"):
        run.try_("wait_for_shutdown")
    run.params["vars"] = {}
    run.through("need_bake")
    second = run.try_("wait_for_shutdown")["builder"]
    assert second["zone"] != first["zone"]
    assert machines(compute, run) == [second["name"]]
    run.tear_down()


def test_a_failed_builder_is_kept_as_the_recipe_says_and_no_longer(compute: Compute) -> None:
    run = walk("bun", vars={"instant_fail_install": "E: broken"}, keep_builder=True)
    run.through("create_builder")
    with pytest.raises(PermanentError, match="E: broken"):
        run.try_("wait_for_shutdown")
    run.tear_down()
    kept = instance(compute, run)
    assert kept["status"] == "TERMINATED"
    assert kept["labels"]["bakehouse-state"] == "failed"
    hours = (int(kept["labels"]["expires"]) - time.time()) / 3600
    assert 7.9 < hours <= 8
    vm = run.handed["create_builder"]
    compute.call("DELETE", f"zones/{vm['zone']}/instances/{vm['name']}")


@pytest.mark.long
def test_a_failed_smoke_machine_is_kept_like_a_builder(compute: Compute) -> None:
    run = walk("bun", vars={"instant_fail_check": "port 80"}, keep_builder=True)
    run.through("label_image")
    with pytest.raises(PermanentError, match="port 80"):
        run.try_("smoke_test")
    run.tear_down()
    (kept,) = [vm for vm in compute.instances() if vm["name"].startswith("smoke-bun-")]
    assert kept["labels"]["bakehouse-state"] == "failed"
    assert "bakehouse-kept" in kept["labels"]
    hours = (int(kept["labels"]["expires"]) - time.time()) / 3600
    assert 7.9 < hours <= 8
    zone = kept["zone"].rpartition("/")[2]
    compute.call("DELETE", f"zones/{zone}/instances/{kept['name']}")


@pytest.mark.usefixtures("compute")
def test_the_error_has_script_line_and_last_lines_and_the_ledger_the_reason() -> None:
    lines = {"instant_install_lines": "80", "instant_fail_install": "E: no such package"}
    run = walk(vars=lines)
    run.through("create_builder")
    with pytest.raises(PermanentError) as failure:
        run.try_("wait_for_shutdown")
    first, heading, *tail = str(failure.value).split("\n")
    assert first == "the install script failed: install.sh line 1 exited with 1: E: no such package"
    assert heading.startswith("The last 50 lines of bake-loaf-")
    assert len(tail) == 50
    assert "  │ Setting up package 80 of 80" in tail
    assert "guest reports: result failed" in tail
    (failed,) = of_kind(BuilderFailedEvent, events(run))
    assert failed.reason is Reason.INSTALL_FAILED
    assert failed.detail.error is not None
    assert failed.detail.error.script == "install.sh"
    assert "Setting up package" not in failed.to_json()
    run.tear_down()


@pytest.mark.usefixtures("compute")
def test_one_deferral_an_attempt_while_the_log_streams(capsys: pytest.CaptureFixture[str]) -> None:
    run = walk(vars={"instant_install_lines": "700"})
    run.through("create_builder")
    before = len(run.deferred)
    run.try_("wait_for_shutdown")
    waits = [type(wait.trigger).__name__ for wait in run.deferred[before:]]
    assert waits == ["ShutdownTrigger"], "a second one would begin the trigger's log anew"
    told = capsys.readouterr().out
    for number in (1, 350, 700):
        assert told.count(f"Setting up package {number} of 700") == 1
    for stage in ("boot", "install", "generalise"):
        assert told.count(f"guest reports: stage {stage}") == 1
    run.tear_down()
