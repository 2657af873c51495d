"""The data of a fleet get their newest formats by a run of their own; on instant machines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException, TaskAwaitingInput
from tests.flow.fleet import ZONE
from tests.integration.bake.walk import perform
from tests.support.errors import bakehouse_errors
from tests.support.ledger import of_kind, read_ledger

from bakehouse.core.errors import PermanentError
from bakehouse.core.reasons import Reason
from bakehouse.fleet.load import load_fleet
from bakehouse.history.location import ledger_url
from bakehouse.history.rollout_events import DataFinalisedEvent
from bakehouse.images.formats import FormatRange
from bakehouse.rollout.finalise_operators import ApproveFinalise, CheckFleet, FinaliseData
from bakehouse.rollout.lease_operators import AcquireLease

from .walk import Rollout

if TYPE_CHECKING:
    from tests.flow.fleet import Members

    from .conftest import Images

RUNS = count(1)
NAMES = ["web-1", "web-2"]
FLEET = f"recipe: web\nmembers: {{instances: [web-1, web-2], zones: [{ZONE}]}}\n"
HAS = "in sync\nformat metadata.version 30\nformat group.version 1"
AFTER = "upgraded\nformat metadata.version 33\nformat group.version 1"
READS = (FormatRange("group.version", 0, 1), FormatRange("metadata.version", 7, 33))


@pytest.fixture(autouse=True)
def questions(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The questions that Airflow shows; and short waits."""
    found: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "airflow.providers.standard.operators.hitl.upsert_hitl_detail",
        lambda **fields: found.append(fields),
    )
    monkeypatch.setattr("bakehouse.rollout.guest_orders.PAUSES", (0.05,))
    monkeypatch.setattr("bakehouse.rollout.ask_trigger.FIRST_LOOK", 0.0)
    monkeypatch.setattr("bakehouse.rollout.planning.reads_of", lambda *_: READS)
    return found


class Run:
    """One run of `finalise__web`."""

    def __init__(self, more: str = "") -> None:
        fleet = load_fleet(FLEET + more, "fleets/web.yaml")
        self.walk = Rollout(fleet, f"manual__finalise{next(RUNS)}")
        self.walk.dag_id = "finalise__web"

    def task(self, kind: Any, task_id: str) -> Any:
        step = kind(task_id=task_id, fleet=self.walk.fleet, sla=timedelta(hours=1), retries=1)
        value = perform(step, self.context(task_id), [])
        self.walk.xcoms[task_id, -1, "return_value"] = value
        return value

    def context(self, task_id: str) -> Any:
        context = self.walk._context(task_id, -1, 1)
        context["params"] = {"why": "4.4 has soaked"}
        context["task_instance"] = SimpleNamespace(id="ti")
        return context

    def check(self) -> Any:
        return self.task(CheckFleet, "check_fleet")

    def answer(self, option: str) -> Any:
        step = ApproveFinalise(
            task_id="approve_finalise", fleet=self.walk.fleet, sla=timedelta(hours=1), retries=1
        )
        context = self.context("approve_finalise")
        event = {
            "chosen_options": [option],
            "params_input": {},
            "responded_at": datetime.now(UTC),
            "responded_by_user": {"id": "7", "name": "ann"},
        }
        with bakehouse_errors():
            with pytest.raises(TaskAwaitingInput) as parked:
                step.execute(context)
            return step.resume_execution(parked.value.method_name, {"event": event}, context)

    def finalise(self) -> Any:
        self.task(AcquireLease, "acquire_lease")
        try:
            return self.task(FinaliseData, "finalise_data")
        finally:
            from bakehouse.rollout.lease_operators import ReleaseLease

            self.task(ReleaseLease, "release_lease")

    @property
    def events(self) -> list[DataFinalisedEvent]:
        return of_kind(DataFinalisedEvent, read_ledger(ledger_url(), self.walk.run_id))


def create(fleet_of: Members, image: str, gate: str = HAS, finalise: str = AFTER) -> None:
    fleet_of.create(image, NAMES, more={"instant-gate": gate, "instant-finalise": finalise})


def test_a_person_approves_and_one_member_is_told(
    fleet_of: Members, images: Images, questions: list[dict[str, Any]]
) -> None:
    create(fleet_of, images.new)
    run = Run()
    found = run.check()
    assert found["formats"] == {"metadata.version": [30, 33]}
    assert run.answer("Approve")["by"] == "ann"
    (question,) = questions
    assert question["subject"] == "web: finalise metadata.version 30 to 33?"
    assert f"The whole fleet runs **{images.new}** and has soaked" in question["body"]
    assert "There is no way back" in question["body"]
    done = run.finalise()
    assert done == {
        "image": images.new,
        "formats": {"metadata.version": 33, "group.version": 1},
    }
    (event,) = run.events
    assert (event.reason, event.detail.approved_by) == (Reason.FINALISED, "ann")
    assert (event.detail.member, event.detail.why) == ("web-1", "4.4 has soaked")
    assert event.detail.before == {"metadata.version": 30, "group.version": 1}
    assert event.detail.after == {"metadata.version": 33, "group.version": 1}
    assert fleet_of.stops() == {}


def test_nothing_happens_without_the_approval(fleet_of: Members, images: Images) -> None:
    create(fleet_of, images.new)
    run = Run()
    run.check()
    with pytest.raises(PermanentError, match="not finalised: ann has rejected it"):
        run.answer("Reject")
    assert run.events == []


def test_a_fleet_that_has_not_soaked_or_has_two_images_is_refused(
    fleet_of: Members, images: Images
) -> None:
    create(fleet_of, images.new)
    with pytest.raises(PermanentError, match=r"web-1 runs since .* soaks until .*; web-2 runs"):
        Run("soak: 1h\n").check()
    fleet_of.create(images.old, ["web-3"], more={"instant-gate": HAS})
    three = FLEET.replace("web-2]", "web-2, web-3]")
    run = Run()
    run.walk.fleet = load_fleet(three, "fleets/web.yaml")
    with pytest.raises(PermanentError, match="members run different images"):
        run.check()


def test_data_that_have_the_newest_formats_are_left(fleet_of: Members, images: Images) -> None:
    create(fleet_of, images.new, gate=AFTER)
    with pytest.raises(AirflowSkipException, match="nothing to finalise: the data have what"):
        Run().check()


def test_a_gate_that_names_no_format_is_refused(fleet_of: Members, images: Images) -> None:
    create(fleet_of, images.new, gate="in sync")
    with pytest.raises(PermanentError, match="web-1 names no format of its data"):
        Run().check()


@pytest.mark.long
def test_an_approval_does_not_hold_for_another_image(fleet_of: Members, images: Images) -> None:
    create(fleet_of, images.new)
    run = Run()
    found = run.check()
    run.walk.xcoms["check_fleet", -1, "return_value"] = {**found, "image_id": "1", "image": "web-x"}
    with pytest.raises(PermanentError, match="approved for web-x, and the fleet runs"):
        run.finalise()
    assert run.events == []


@pytest.mark.long
def test_a_member_that_fails_to_do_it_is_recorded_and_named(
    fleet_of: Members, images: Images
) -> None:
    create(fleet_of, images.new, finalise="failed: broker 2 is fenced")
    run = Run()
    run.check()
    with pytest.raises(PermanentError, match="finalise of web-1 has failed: broker 2 is fenced"):
        run.finalise()
    (event,) = run.events
    assert (event.reason, event.detail.after) == (Reason.NOT_FINALISED, {})


def test_nothing_is_finalised_without_the_fleets_lease(fleet_of: Members, images: Images) -> None:
    create(fleet_of, images.new)
    run = Run()
    run.check()
    with pytest.raises(PermanentError, match="does not hold the fleet's lease"):
        run.task(FinaliseData, "finalise_data")
