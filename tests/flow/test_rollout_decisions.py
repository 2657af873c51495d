"""What people decide about a rollout, and managed groups; on a real scheduler, instant machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.flow.group import Group
from tests.flow.shop import NAMES, dag, names
from tests.support.deadlines import RUN
from tests.support.ledger import of_kind, read_ledger

from bakehouse.core.reasons import Reason
from bakehouse.history.rollout_events import MemberReplacedEvent, RolloutEndedEvent
from bakehouse.rollout.rollout_states import RolloutState
from devstack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.flow.fleet import Members

    from devstack.airflow_api import Run
    from devstack.testbed import Testbed

STAGES = "replace_instances"
FREEZE = "bakehouse_freeze"


@pytest.fixture
def group(bed: Testbed) -> Iterator[Group]:
    found = Group(bed.compute)
    yield found
    found.delete()


@pytest.fixture
def thawed(bed: Testbed) -> Iterator[None]:
    """No freeze is left, however the test ends."""
    yield
    if FREEZE in {v["key"] for v in bed.airflow.call("GET", "/variables")["variables"]}:
        thaw(bed)


def thaw(bed: Testbed) -> None:
    bed.airflow.call("DELETE", f"/variables/{FREEZE}")


def states(bed: Testbed, run: Run) -> dict[str, str | None]:
    found = bed.airflow.states(run.dag_id, run.run_id)
    return {task.removeprefix(f"{STAGES}."): state for task, state in found.items()}


def note(bed: Testbed, dag_id: str, run_id: str) -> str:
    return str(bed.airflow.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["note"])


def ends(bed: Testbed, run: Run) -> list[RolloutEndedEvent]:
    events = read_ledger(bed.stack.layout.airflow_home / "ledger", run.run_id)
    return of_kind(RolloutEndedEvent, events)


def answer(bed: Testbed, dag_id: str, run_id: str, option: str) -> str:
    """Answer the question after stage 1, as the page of required actions does; return its text."""
    task = f"{STAGES}.approve_stage_1"
    bed.airflow.wait_for_task(dag_id, run_id, task, ["awaiting_input"], RUN)
    path = f"/dags/{dag_id}/dagRuns/{run_id}"
    (question,) = bed.airflow.call("GET", f"{path}/hitlDetails")["hitl_details"]
    body = {"chosen_options": [option], "params_input": {}}
    bed.airflow.call("PATCH", f"{path}/taskInstances/{task}/-1/hitlDetails", json=body)
    return str(question["body"])


def test_a_run_that_only_plans_is_green_and_tells_its_plan_and_changes_nothing(
    bed: Testbed, members: Members, two_images: tuple[str, str]
) -> None:
    old, new = two_images
    members.create(old, NAMES)
    before = members.facts()
    run = bed.bake(dag("shop"), image=new, plan_only=True)
    assert run.state == "success", bed.explain(run)
    found = states(bed, run)
    assert {task: found[task] for task in ("plan", "verdict", "result")} == dict.fromkeys(
        ("plan", "verdict", "result"), "success"
    )
    assert found["select_members_1"] == "skipped"
    assert members.facts() == before
    assert members.stops() == {}
    assert len(members.disks()) == 2 * len(NAMES), "no disk was made either"
    told = note(bed, run.dag_id, run.run_id)
    assert f"plan only, nothing was changed: 2 members would move to {new}" in told
    log = bed.log(run, f"{STAGES}.plan")
    assert "  stage 1 (1)     shop-1" in log
    assert "way back: open" in log
    assert "does not expect" not in log, "to skip the stages is no error"
    assert ends(bed, run) == [], "nothing was rolled out, so no rollout has ended"


def test_an_approval_lets_the_next_stage_begin(
    bed: Testbed, members: Members, two_images: tuple[str, str]
) -> None:
    old, new = two_images
    members.create(old, names("asked"))
    run_id = bed.airflow.trigger(dag("asked"), {"image": new})
    asked = answer(bed, dag("asked"), run_id, "Approve")
    assert "- stage 2 (next): asked-2" in asked
    assert members.stops() == {"asked-1": 1}, "nobody else was touched while it was asked"
    run = bed.airflow.wait(dag("asked"), run_id, RUN)
    assert run.state == "success", bed.explain(run)
    assert members.facts().health == dict.fromkeys(names("asked"), new)
    assert members.stops() == dict.fromkeys(names("asked"), 1)
    told = bed.airflow.xcom(run.dag_id, run_id, f"{STAGES}.approve_stage_1")
    assert (told["decision"], bool(told["by"])) == ("approved", True)


def test_a_question_that_nobody_answers_halts_the_fleet_as_it_is(
    bed: Testbed, members: Members, two_images: tuple[str, str]
) -> None:
    old, new = two_images
    members.create(old, names("unanswered"))
    run = bed.bake(dag("unanswered"), image=new)
    found = states(bed, run)
    assert run.state == "failed", found
    assert found["approve_stage_1"] == "failed"
    assert not {"replace_2[0]", "roll_back[0]"} & set(found)
    assert members.facts().images == {"unanswered-1": new, "unanswered-2": old}
    assert members.stops() == {"unanswered-1": 1}
    (ended,) = ends(bed, run)
    assert (ended.reason, ended.detail.state) == (Reason.NOT_APPROVED, RolloutState.HALTED)
    assert not ended.detail.failed_here, "a silence of people says nothing of the image"
    why = bed.log(run, f"{STAGES}.verdict")
    assert "nobody approved the rollout after stage 1 in time" in why


@pytest.mark.usefixtures("thawed")
def test_a_freeze_in_the_middle_stops_nobody_further_and_the_rollout_goes_on_behind_it(
    bed: Testbed, members: Members, two_images: tuple[str, str]
) -> None:
    old, new = two_images
    members.create(old, NAMES)
    members.configure("shop-1", "instant-until", "shop-1-may-boot")
    run_id = bed.airflow.trigger(dag("shop"), {"image": new})
    members.wait_for_call("compute.instances.start", RUN)
    freeze = {"key": FREEZE, "value": '{"who": "ann", "why": "the quarter ends"}'}
    bed.airflow.call("POST", "/variables", json=freeze)
    bed.compute.set_project_attribute("shop-1-may-boot")
    waits = f"{STAGES}.select_members_2"
    bed.airflow.wait_for_task(dag("shop"), run_id, waits, ["deferred"], RUN)
    assert members.facts().health["shop-1"] == new, "who was on its way has come to its end"
    assert members.stops() == {"shop-1": 1}
    wait_until(
        lambda: "frozen by ann: the quarter ends" in note(bed, dag("shop"), run_id),
        RUN,
        "the run's note to name the freeze",
    )
    thaw(bed)
    run = bed.airflow.wait(dag("shop"), run_id, RUN)
    assert run.state == "success", bed.explain(run)
    assert members.facts().health == dict.fromkeys(NAMES, new)
    assert members.stops() == dict.fromkeys(NAMES, 1)


def test_a_run_that_is_cancelled_in_mid_swap_goes_on_when_it_is_cleared(
    bed: Testbed, members: Members, two_images: tuple[str, str]
) -> None:
    old, new = two_images
    members.create(old, NAMES)
    before = members.facts()
    rule = {"kind": "http", "status": 503, "times": 999}
    bed.compute.fault(method="compute.instances.start", resource="shop-1", **rule)
    run_id = bed.airflow.trigger(dag("shop"), {"image": new})
    members.wait_for_call("compute.instances.start", RUN)
    path = f"/dags/{dag('shop')}/dagRuns/{run_id}"
    bed.airflow.call("PATCH", path, json={"state": "failed"})

    def has_ended() -> bool:
        known = states(bed, bed.airflow.run(dag("shop"), run_id))
        return known["release_lease"] == "success"

    wait_until(has_ended, RUN, "the lease to be released")
    (stopped,) = ends(bed, bed.airflow.run(dag("shop"), run_id))
    assert (stopped.reason, stopped.detail.state) == (Reason.STOPPED, RolloutState.STOPPED)
    bed.compute.clear_faults()
    bed.airflow.clear(dag("shop"), run_id, [f"{STAGES}.acquire_lease"], downstream=True)
    run = bed.airflow.wait(dag("shop"), run_id, RUN)
    assert run.state == "success", bed.explain(run)
    after = members.facts()
    assert after.health == dict.fromkeys(NAMES, new)
    assert after.identity == before.identity
    assert members.stops() == dict.fromkeys(NAMES, 1), "nobody was stopped twice"
    assert members.disks() == sorted([*after.boot.values(), *(f"{n}-data" for n in NAMES)])


def test_a_managed_group_moves_and_one_whose_canary_gets_ill_goes_back(
    bed: Testbed, group: Group, two_images: tuple[str, str]
) -> None:
    old, new = two_images
    group.create(old)
    run = bed.bake(dag("grouped"), image=new)
    assert run.state == "success", bed.explain(run)
    assert set(group.instances().values()) == {new}
    events = read_ledger(bed.stack.layout.airflow_home / "ledger", run.run_id)
    replaced = of_kind(MemberReplacedEvent, events)
    assert {event.detail.member for event in replaced} == set(group.instances())
    group.delete()

    group.create(old, color="")
    before, ids, policy = group.versions(), group.ids(), group.policy()
    bad = bed.bake(dag("grouped"), image=new)
    found = states(bed, bad)
    assert bad.state == "failed", found
    assert found["roll_back[0]"] == "success"
    assert "replace_2[0]" not in found
    assert set(group.instances().values()) == {old}
    assert (group.versions(), group.policy()) == (before, policy)
    assert len(ids & group.ids()) == 2, "only the canary was replaced"
    (ended,) = ends(bed, bad)
    assert ended.detail.state == RolloutState.ROLLED_BACK
    assert "color" in bed.log(bad, f"{STAGES}.verdict")
