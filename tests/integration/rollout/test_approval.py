"""A person is asked between two stages, with what there is to know about the canary."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import TaskAwaitingInput
from tests.flow.fleet import ZONE
from tests.support.errors import bakehouse_errors
from tests.support.ledger import of_kind, read_ledger

from bakehouse.cloud.compute_hook import hook_of
from bakehouse.core.errors import PermanentError
from bakehouse.core.reasons import Reason
from bakehouse.fleet.load import load_fleet
from bakehouse.history.location import ledger_url
from bakehouse.history.rollout_events import RolloutEndedEvent
from bakehouse.history.wait_events import WaitedEvent, WaitsEvent
from bakehouse.rollout import target_images

from .walk import GROUP, Rollout

if TYPE_CHECKING:
    from tests.flow.fleet import Members

    from .conftest import Images

NAMES = ["web-1", "web-2"]
FLEET = f"""\
recipe: web
members: {{instances: [web-1, web-2], zones: [{ZONE}]}}
stages: [1, 100%]
health_deadline: 20s
approval: {{after: [1]}}
"""
ANN = {"id": "7", "name": "ann"}


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The questions that Airflow shows."""
    found: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "airflow.providers.standard.operators.hitl.upsert_hitl_detail",
        lambda **fields: found.append(fields),
    )
    return found


def rollout(image: str, run_id: str, text: str = FLEET) -> Rollout:
    return Rollout(load_fleet(text, "fleets/web.yaml"), run_id, image)


def approve(run: Rollout, **event: Any) -> Any:
    """Let the task ask, and give it Airflow's event."""
    from bakehouse.rollout.approval_operator import ApproveStage

    task_id = f"{GROUP}.approve_stage_1"
    common: dict[str, Any] = {"task_id": task_id, "sla": timedelta(hours=1), "retries": 3}
    step = ApproveStage(fleet=run.fleet, stage=1, **common)
    context = run._context(task_id, -1, 1)
    context["task_instance"] = SimpleNamespace(id="ti")
    with bakehouse_errors():
        try:
            value = step.execute(context)
        except TaskAwaitingInput as parked:
            try:
                value = step.resume_execution(parked.method_name, {"event": event}, context)
            except Exception as error:
                run.states["approve_stage_1"], run.errors["approve_stage_1"] = "failed", error
                raise
    run.states["approve_stage_1"] = "success"
    return value


def answer(option: str) -> dict[str, Any]:
    return {
        "chosen_options": [option],
        "params_input": {},
        "responded_at": datetime.now(UTC),
        "responded_by_user": ANN,
    }


TIMED_OUT = {"error": "the timeout has passed", "error_type": "timeout"}


def to_the_question(fleet_of: Members, images: Images, run_id: str, text: str = FLEET) -> Rollout:
    fleet_of.create(images.old, NAMES)
    run = rollout(images.new, run_id, text)
    run.begin()
    run.stage(1)
    return run


def ended(run: Rollout) -> Reason:
    run.plan_rollback()
    run.roll_back()
    assert run.verdict() == "failed"
    (event,) = of_kind(RolloutEndedEvent, read_ledger(ledger_url(), run.run_id))
    return event.reason


def test_the_question_has_plan_packages_and_the_figures_of_the_canary(
    fleet_of: Members, images: Images, asked: list[dict[str, Any]]
) -> None:
    run = to_the_question(fleet_of, images, "manual__ask")
    approved = approve(run, **answer("Approve"))
    assert approved == {"stage": 1, "decision": "approved", "by": "ann"}
    (question,) = asked
    assert question["subject"] == f"web: go on with {images.new} after stage 1 of 2?"
    assert question["options"] == ["Approve", "Reject"]
    assert question["defaults"] is None
    body = question["body"]
    assert "- stage 1 (on the new image): web-1" in body
    assert "- stage 2 (next): web-2" in body
    assert f"- from {images.old}: the same packages" in body
    assert "| web-1 | healthy | " in body
    assert "| median of 1 not replaced | | " in body
    run.stage(2)
    assert fleet_of.facts().health == dict.fromkeys(NAMES, images.new)
    written = read_ledger(ledger_url(), run.run_id)
    (began,), (answered,) = of_kind(WaitsEvent, written), of_kind(WaitedEvent, written)
    assert began.reason is Reason.NEEDS_APPROVAL
    assert (began.subject, began.detail.since) == (answered.subject, answered.detail.since)
    assert answered.detail.why == "ann approved the rollout after stage 1"
    assert run.xcom("approve_stage_1", "waits") is None


@pytest.mark.long
@pytest.mark.parametrize("on_failure", ["roll_back", "halt"])
def test_a_rejection_takes_all_back_and_touches_nobody_else(
    fleet_of: Members, images: Images, on_failure: str
) -> None:
    text = f"{FLEET}on_failure: {on_failure}\n"
    run = to_the_question(fleet_of, images, f"manual__reject_{on_failure}", text)
    with pytest.raises(PermanentError, match="ann rejected the rollout after stage 1"):
        approve(run, **answer("Reject"))
    assert ended(run) is Reason.REJECTED
    assert fleet_of.facts().health == dict.fromkeys(NAMES, images.old)
    assert fleet_of.stops() == {"web-1": 2}
    told = str(run.errors["verdict"])
    assert "ann rejected the rollout after stage 1. a person" in told
    assert f"No rollout of web takes {images.new} by itself any more" in told
    with pytest.raises(PermanentError, match=images.new):
        target_images.choose(
            hook_of("google_cloud_default"), "web", "", by_person=False, fleet="web"
        )


@pytest.mark.long
@pytest.mark.parametrize("on_timeout", ["roll_back", "halt"])
def test_a_time_out_does_what_the_fleet_says(
    fleet_of: Members, images: Images, on_timeout: str
) -> None:
    text = FLEET.replace("{after: [1]}", f"{{after: [1], on_timeout: {on_timeout}}}")
    run = to_the_question(fleet_of, images, f"manual__late_{on_timeout}", text)
    with pytest.raises(PermanentError, match="nobody approved the rollout after stage 1 in time"):
        approve(run, **TIMED_OUT)
    assert ended(run) is Reason.NOT_APPROVED
    back = on_timeout == "roll_back"
    expected = {"web-1": images.old if back else images.new, "web-2": images.old}
    assert fleet_of.facts().health == expected
    assert fleet_of.stops() == {"web-1": 2 if back else 1}


def test_nobody_is_asked_when_no_member_follows(
    fleet_of: Members, images: Images, asked: list[dict[str, Any]]
) -> None:
    fleet_of.create(images.old, ["web-1"])
    run = rollout(images.new, "manual__alone", FLEET.replace("web-1, web-2", "web-1"))
    run.begin()
    run.stage(1)
    assert approve(run) is None
    assert asked == []
