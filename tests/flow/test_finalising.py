"""A fleet's data are finalised by a DAG of its own; on a real scheduler, instant machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.flow.fleet import ZONE
from tests.support.deadlines import RUN
from tests.support.ledger import of_kind, read_ledger

from bakehouse.core.reasons import Reason
from bakehouse.history.rollout_events import DataFinalisedEvent

if TYPE_CHECKING:
    from tests.flow.fleet import Members

    from devstack.airflow_api import Run
    from devstack.testbed import Testbed

BAKE, FINALISE = "bake__store", "finalise__store"
NAMES = ["store-1", "store-2"]
# What its data have is what the gate says; the image can read more than that.
RECIPE = """\
base: debian-cloud/debian-12
vars: {page: store, instant_formats: "metadata.version=7-33 group.version=0-1"}
services: [nginx]
smoke: {metadata: {greeting: hello}}
"""
FLEET = f"recipe: store\nmembers: {{instances: [{', '.join(NAMES)}], zones: [{ZONE}]}}\n"
HAS = "in sync\nformat metadata.version 30\nformat group.version 1"
AFTER = "upgraded\nformat metadata.version 33\nformat group.version 1"


@pytest.fixture(scope="module")
def image(stack_of_session: Testbed) -> str:
    """The image of a recipe that has a program `finalise`."""
    bed = stack_of_session
    bed.write("include/startup_scripts/store/finalise", "#!/bin/bash\n", 0o755)
    bed.write("include/fleets/store.yaml", FLEET)
    bed.add_web("store", RECIPE)
    bed.parse_until("roll_out__web", lambda: FINALISE in bed.airflow.dags(), f"the DAG {FINALISE}")
    run = bed.bake(BAKE, roll_out=False)
    assert run.state == "success", bed.explain(run)
    return str(bed.airflow.xcom(BAKE, run.run_id, "plan_bake")["image_name"])


def create(members: Members, image: str) -> None:
    members.create(image, NAMES, more={"instant-gate": HAS, "instant-finalise": AFTER})


def ask(bed: Testbed) -> tuple[str, dict[str, Any]]:
    """Trigger it; return the id of the run and its question, once it waits for a person."""
    run_id = bed.airflow.trigger(FINALISE, {"why": "4.4 has soaked"})
    bed.airflow.wait_for_task(FINALISE, run_id, "approve_finalise", ["awaiting_input"], RUN)
    path = f"/dags/{FINALISE}/dagRuns/{run_id}/hitlDetails"
    (question,) = bed.airflow.call("GET", path)["hitl_details"]
    return run_id, question


def answer(bed: Testbed, run_id: str, option: str) -> Run:
    """As the page of required actions does; return the run at its end."""
    path = f"/dags/{FINALISE}/dagRuns/{run_id}/taskInstances/approve_finalise/-1/hitlDetails"
    bed.airflow.call("PATCH", path, json={"chosen_options": [option], "params_input": {}})
    return bed.airflow.wait(FINALISE, run_id, RUN)


def events(bed: Testbed, run: Run) -> list[DataFinalisedEvent]:
    found = read_ledger(bed.stack.layout.airflow_home / "ledger", run.run_id)
    return of_kind(DataFinalisedEvent, found)


def test_one_member_finalises_when_a_person_has_approved_and_nobody_is_stopped(
    bed: Testbed, members: Members, image: str
) -> None:
    create(members, image)
    run_id, question = ask(bed)
    assert question["subject"] == "store: finalise metadata.version 30 to 33?"
    assert "There is no way back" in question["body"]
    run = answer(bed, run_id, "Approve")
    assert run.state == "success", bed.explain(run)
    (event,) = events(bed, run)
    assert (event.reason, event.detail.why) == (Reason.FINALISED, "4.4 has soaked")
    assert event.detail.before == {"metadata.version": 30, "group.version": 1}
    assert event.detail.after == {"metadata.version": 33, "group.version": 1}
    assert event.detail.approved_by
    assert members.stops() == {}


def test_a_reject_ends_the_run_with_its_reason_and_the_data_stay_as_they_are(
    bed: Testbed, members: Members, image: str
) -> None:
    create(members, image)
    run_id, _ = ask(bed)
    run = answer(bed, run_id, "Reject")
    assert run.state == "failed"
    assert "not finalised" in "\n".join(bed.errors(run, "approve_finalise"))
    states = bed.airflow.states(run.dag_id, run.run_id)
    assert states["finalise_data"] != "success"
    assert events(bed, run) == []
