"""One test per verdict over a builder."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.bake.shutdown import GuestError, classify_shutdown
from bakehouse.cloud.machine_observation import MachineObservation
from bakehouse.cloud.operations import InstanceEvent
from bakehouse.core.reasons import Reason

ERROR = {
    "script": "install.sh",
    "line": 12,
    "command": "apt-get install nginks",
    "exit_code": 100,
    "message": "E: Unable to locate package nginks",
}


def facts(status: str | None = "RUNNING", **known: Any) -> MachineObservation:
    return MachineObservation(name="bake-web-1", status=status, **known)


def reason(found: MachineObservation) -> Reason | None:
    verdict = classify_shutdown(found)
    return verdict.reason if verdict else None


def test_finished_by_serial_line() -> None:
    verdict = classify_shutdown(facts("TERMINATED", said=({"stage": "install"}, {"result": "ok"})))
    assert verdict is not None
    assert verdict.ok


def test_finished_by_guest_attribute_when_the_serial_port_is_mute() -> None:
    assert reason(facts("TERMINATED", attributes={"result": "ok"})) is Reason.FINISHED


def test_ok_while_it_still_runs_is_not_the_end() -> None:
    assert classify_shutdown(facts("STOPPING", said=({"result": "ok"},))) is None


def test_failed_says_script_line_command_and_message() -> None:
    verdict = classify_shutdown(facts("RUNNING", said=({"result": "failed", "error": ERROR},)))
    assert verdict is not None
    assert verdict.hopeless
    assert verdict.message == (
        "install.sh line 12: `apt-get install nginks` exited with 100:"
        " E: Unable to locate package nginks"
    )


def test_failed_by_guest_attribute_alone() -> None:
    told = {"result": "failed", "error": json.dumps(ERROR)}
    verdict = classify_shutdown(facts("TERMINATED", attributes=told))
    assert verdict is not None
    assert verdict.error == GuestError.model_validate(ERROR)


@pytest.mark.parametrize("error", ["not json", '"text"', "[1]", '{"line": "many"}', ""])
def test_an_error_that_makes_no_sense_is_still_a_failure(error: str) -> None:
    told = {"result": "failed", "error": error}
    assert reason(facts("TERMINATED", attributes=told)) is Reason.INSTALL_FAILED


def test_stopped_without_a_word_has_failed() -> None:
    verdict = classify_shutdown(facts("TERMINATED", said=({"stage": "install"},)))
    assert verdict is not None
    assert (verdict.reason, verdict.ok, verdict.hopeless) == (Reason.STOPPED_SILENTLY, False, False)


def test_preempted() -> None:
    happened = (InstanceEvent("compute.instances.preempted"), InstanceEvent("insert", "bakehouse"))
    assert reason(facts("TERMINATED", instance_events=happened)) is Reason.PREEMPTED


def test_preempted_and_deleted_by_it() -> None:
    happened = (InstanceEvent("delete"), InstanceEvent("compute.instances.preempted"))
    assert reason(facts(None, instance_events=happened[1:])) is Reason.PREEMPTED


def test_preempted_is_preempted_whatever_followed() -> None:
    happened = (InstanceEvent("delete", "system"), InstanceEvent("compute.instances.preempted"))
    assert reason(facts(None, instance_events=happened)) is Reason.PREEMPTED


@pytest.mark.parametrize("kind", ["preempted", "hostError"])
@pytest.mark.parametrize("status", ["STOPPING", "TERMINATED", None])
def test_an_install_that_broke_while_its_machine_was_taken_away_is_tried_elsewhere(
    kind: str, status: str | None
) -> None:
    taken = (InstanceEvent(f"compute.instances.{kind}"),)
    verdict = classify_shutdown(facts(status, said=({"result": "failed"},), instance_events=taken))
    assert verdict is not None
    assert (verdict.lost, verdict.hopeless) == (True, False)


def test_its_run_time_was_over() -> None:
    verdict = classify_shutdown(facts(None, instance_events=(InstanceEvent("delete", "system"),)))
    assert verdict is not None
    assert (verdict.reason, verdict.lost) == (Reason.RUN_TIME_OVER, False)


def test_ok_and_then_taken_away_makes_no_image() -> None:
    told = ({"result": "ok"},)
    assert reason(facts(None, said=told)) is Reason.VANISHED
    suspended = facts("SUSPENDED", said=told, instance_events=(InstanceEvent("suspend", "jo"),))
    assert reason(suspended) is Reason.STOPPED_BY_SOMEBODY


def test_ok_wins_over_whoever_stopped_it_afterwards() -> None:
    stopped = (InstanceEvent("stop", "jo@example.org"),)
    assert reason(facts("TERMINATED", said=({"result": "ok"},), instance_events=stopped)) is (
        Reason.FINISHED
    )


def test_serial_line_before_attribute() -> None:
    told = facts("TERMINATED", said=({"result": "failed"},), attributes={"result": "ok"})
    assert reason(told) is Reason.INSTALL_FAILED


def test_the_error_of_the_task_has_the_last_lines_and_the_ledger_has_not() -> None:
    found = facts("TERMINATED", said=({"result": "failed", "error": ERROR},), tail=("one", "two"))
    verdict = classify_shutdown(found)
    assert verdict is not None
    told = found.with_tail(verdict.message).split("\n")
    assert told[0] == verdict.message
    assert told[1:] == ["The last 2 lines of bake-web-1:", "one", "two"]
    assert facts().with_tail("why") == "why"
    assert verdict.error is not None
    assert verdict.error.command == "apt-get install nginks"
    assert "two" not in verdict.model_dump_json(), "the ledger's record is made from this"


def test_host_lost() -> None:
    happened = (InstanceEvent("compute.instances.hostError"),)
    assert reason(facts("TERMINATED", instance_events=happened)) is Reason.HOST_LOST


def test_stopped_by_somebody_names_them() -> None:
    verdict = classify_shutdown(
        facts("TERMINATED", instance_events=(InstanceEvent("stop", "jo@example.org"),))
    )
    assert verdict is not None
    assert verdict.reason is Reason.STOPPED_BY_SOMEBODY
    assert "jo@example.org" in verdict.message


@pytest.mark.parametrize("happened", [(), (InstanceEvent("delete", "jo@example.org"),)])
def test_vanished(happened: tuple[InstanceEvent, ...]) -> None:
    assert reason(facts(None, instance_events=happened)) is Reason.VANISHED


def test_silent_past_its_deadline_names_the_last_stage() -> None:
    verdict = classify_shutdown(facts("RUNNING", said=({"stage": "install"},), late=True))
    assert verdict is not None
    assert verdict.reason is Reason.SILENT
    assert "last stage: install" in verdict.message


def test_ok_but_never_off_is_silent_too() -> None:
    verdict = classify_shutdown(facts("RUNNING", said=({"result": "ok"},), late=True))
    assert verdict is not None
    assert "did not power off" in verdict.message


@pytest.mark.parametrize("status", ["PROVISIONING", "STAGING", "RUNNING", "STOPPING"])
def test_a_machine_at_work_is_waited_for(status: str) -> None:
    assert classify_shutdown(facts(status)) is None


STATUS = st.sampled_from([None, "RUNNING", "STOPPING", "TERMINATED", "SUSPENDED", "NEW_WORD"])
SAID = st.lists(
    st.dictionaries(st.sampled_from(["stage", "result", "error"]), st.text()), max_size=3
)


@given(STATUS, SAID, st.dictionaries(st.sampled_from(["result", "error", "stage"]), st.text()))
def test_whatever_a_guest_says_only_ok_makes_an_image(
    status: str | None, said: list[dict[str, str]], attributes: dict[str, str]
) -> None:
    found = facts(status, said=tuple(said), attributes=attributes, late=True)
    verdict = classify_shutdown(found)
    assert verdict is not None, "past its deadline every machine has a verdict"
    if verdict.ok:
        words = [line.get("result") for line in said] + [attributes.get("result")]
        assert "ok" in words
        assert status in {"TERMINATED", "STOPPED"}
