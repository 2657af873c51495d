"""Rollouts on a real scheduler, on instant machines."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]
from tests.flow.fleet import Facts, Members
from tests.support.deadlines import RUN, SOON
from tests.support.ledger import of_kind, read_ledger
from tests.support.trigger_logs import has_said

from bakehouse.core.reasons import Reason
from bakehouse.core.tasks import Flow, task_ids
from bakehouse.history.rollout_events import (
    MemberReplacedEvent,
    MemberReplacedFailedEvent,
    MemberRolledBackEvent,
    RolloutEndedEvent,
)
from bakehouse.lease.lease import Lease, Owner
from devstack.waiting import wait_until

if TYPE_CHECKING:
    from bakehouse.history.events import LedgerEvent
    from devstack.airflow_api import Run
    from devstack.testbed import Testbed

BAKE = "bake__web"
ROLL_OUT = "roll_out__web"
FOLLOW = "roll_out__shadow"
GROUP = "replace_instances"
FLEET = "include/fleets/web.yaml"
NAMES = ["web-1", "web-2", "web-3"]

# The new image shows a page that needs the attribute `color`: who lacks it does not get healthy.
RECIPE = """\
base: debian-cloud/debian-12
vars: {page: old, instant_until: ''}
services: [nginx]
smoke: {metadata: {greeting: hello, color: blue}}
"""
PAGE = "{% if vars.page == 'new' %}{{ color }}{% endif %}\n"
FOLLOWER = """
recipe: web
members: {instances: [shadow-1], zones: [us-central1-a]}
rollout: follow
"""

STAGE_TASKS = ("select_members", "replace", "verify_stage")
SOAKING = "roll_out__soaking"
SOAKERS = ["soak-1", "soak-2"]
# No test waits for the end of such a soak.
LONG_SOAK = """
recipe: web
members: {instances: [soak-1, soak-2], zones: [us-central1-a]}
stages: [1, 100%]
soak: 5h
health_deadline: 2h
"""

ASKING = "roll_out__asking"
ASKERS = ["ask-1", "ask-2"]
ASKER = """
recipe: web
members: {instances: [ask-1, ask-2], zones: [us-central1-a]}
stages: [1, 100%]
approval: {after: [1]}
health_deadline: 2h
"""


@dataclass(frozen=True)
class Baked:
    """An older image of the recipe `web`, and the run that replaced it on the fleet by a newer one.

    `left` are the resources that existed then and were no member's.
    """

    old: str
    new: str
    run: Run
    before: Facts
    after: Facts
    stops: dict[str, int]
    left: list[str]


@pytest.fixture(scope="module")
def baked(stack_of_session: Testbed) -> Baked:
    bed = stack_of_session
    fleet = (bed.project / "include/fleets/web.yaml").read_text()
    bed.write(
        "include/fleets/web.yaml", re.sub(r"health_deadline: .*", "health_deadline: 2h", fleet)
    )
    bed.write("include/recipes/web.yaml", RECIPE)
    bed.write("include/startup_scripts/web/templates/var/www/html/color.html.j2", PAGE)
    bed.commit("Show a color")
    older = bed.bake(BAKE, vars={"page": "old"}, roll_out=False)
    assert older.state == "success", bed.explain(older)
    bed.write("include/fleets/shadow.yaml", FOLLOWER)
    bed.write("include/fleets/soaking.yaml", LONG_SOAK)
    bed.write("include/fleets/asking.yaml", ASKER)
    bed.commit("A fleet that follows, one that soaks, and one that asks")
    more = {FOLLOW, SOAKING, ASKING}
    bed.parse_until(ROLL_OUT, lambda: more <= set(bed.airflow.dags()), f"{more} to be parsed")
    bed.declare_members(NAMES)
    members = Members(bed)
    members.create(image_of(bed, older), NAMES)
    before = members.facts()
    run = bed.bake(BAKE, vars={"page": "new"}, git_ref=bed.head)
    after = members.facts()
    theirs = {f"instance {name}" for name in NAMES}
    theirs |= {f"disk {disk}" for name in NAMES for disk in (after.boot[name], f"{name}-data")}
    found = Baked(
        old=image_of(bed, older),
        new=image_of(bed, run),
        run=run,
        before=before,
        after=after,
        stops=members.stops(),
        left=sorted(set(bed.left()) - theirs),
    )
    members.delete()
    return found


def image_of(bed: Testbed, run: Run) -> str:
    return str(bed.airflow.xcom(run.dag_id, run.run_id, "plan_bake")["image_name"])


@pytest.fixture(scope="module")
def old(baked: Baked) -> str:
    return baked.old


@pytest.fixture(scope="module")
def new(baked: Baked) -> str:
    return baked.new


def roll(bed: Testbed, image: str, names: list[str] = NAMES) -> Run:
    return bed.bake(ROLL_OUT, image=image, members=names)


def states(bed: Testbed, run: Run) -> dict[str, str | None]:
    found = bed.airflow.states(run.dag_id, run.run_id)
    return {task.removeprefix(f"{GROUP}."): state for task, state in found.items()}


def events(bed: Testbed, run: Run) -> list[LedgerEvent]:
    return read_ledger(bed.stack.layout.airflow_home / "ledger", run.run_id)


@pytest.mark.ci
def test_a_bake_promotes_its_image_and_moves_the_fleet_onto_it(bed: Testbed, baked: Baked) -> None:
    run, found = baked.run, bed.airflow.states(BAKE, baked.run.run_id)
    assert run.state == "success", bed.explain(run)
    ids = task_ids(Flow.BAKE)
    assert {task: found.get(task) for task in ids} == dict.fromkeys(ids, "success")
    image = bed.compute.image(baked.new)
    assert image["status"] == "READY"
    assert image["labels"]["git-sha"] == bed.head
    assert image["labels"]["bakehouse-state"] == "promoted"
    assert bed.compute.newest_of("web")["name"] == baked.new
    assert baked.after.images == baked.after.health == dict.fromkeys(NAMES, baked.new)
    assert baked.after.identity == baked.before.identity  # id, address, metadata, data disks
    assert baked.stops == dict.fromkeys(NAMES, 1)
    assert baked.left == []


@pytest.mark.ci
def test_a_fleet_that_follows_has_a_run_of_its_own(bed: Testbed, baked: Baked) -> None:
    def followed() -> list[str]:
        runs = bed.airflow.call("GET", f"/dags/{FOLLOW}/dagRuns")["dag_runs"]
        return [run["dag_run_id"] for run in runs if run["partition_key"] == baked.new]

    wait_until(lambda: bool(followed()), SOON, "the follower's run")
    (run_id,) = followed()
    ended = bed.airflow.wait(FOLLOW, run_id, RUN)
    chosen = bed.airflow.xcom(FOLLOW, run_id, f"{GROUP}.choose_image")
    assert chosen["name"] == baked.new
    assert ended.state == "failed"
    assert "shadow-1 does not exist in us-central1-a" in bed.log(ended, f"{GROUP}.plan")


@pytest.mark.ci
def test_members_that_do_not_exist_fail_the_plan_before_anything_changes(
    bed: Testbed, members: Members, old: str, new: str
) -> None:
    members.create(old, ["web-1", "web-30"])
    run = bed.bake(ROLL_OUT, image=new)
    assert run.state == "failed"
    log = bed.log(run, f"{GROUP}.plan")
    assert "web-2 does not exist in us-central1-a" in log
    assert "web-3 does not exist in us-central1-a; did you mean web-30?" in log
    assert members.stops() == {}
    assert members.facts().images == {"web-1": old, "web-30": old}


def test_a_fleet_moves_onto_the_image(bed: Testbed, members: Members, old: str, new: str) -> None:
    names = NAMES
    members.create(old, names)
    before = members.facts()
    run = roll(bed, new)
    assert run.state == "success", bed.explain(run)
    after = members.facts()
    assert after.images == dict.fromkeys(names, new)
    assert after.identity == before.identity  # id, address, metadata, data disks
    assert after.health == dict.fromkeys(names, new)
    assert members.disks() == sorted([*after.boot.values(), *(f"{n}-data" for n in names)])
    assert members.stops() == dict.fromkeys(names, 1)
    replaced = of_kind(MemberReplacedEvent, events(bed, run))
    assert sorted(event.detail.member for event in replaced) == names
    again = roll(bed, new)
    assert again.state == "success", bed.explain(again)
    assert members.stops() == dict.fromkeys(names, 1)  # everybody is on the image


@pytest.mark.ci
def test_a_member_that_does_not_get_healthy_halts_the_line_and_all_go_back(
    bed: Testbed, members: Members, old: str, new: str
) -> None:
    members.create(old, NAMES, plain="web-1")
    before = members.facts()
    run = roll(bed, new)
    found = states(bed, run)
    assert run.state == "failed", (found, bed.log(run, f"{GROUP}.plan"))
    assert (found["replace_1[0]"], found["roll_back[0]"], found["verdict"]) == (
        "failed",
        "success",
        "failed",
    )
    after = members.facts()
    assert (after.images, after.identity) == (before.images, before.identity)
    assert after.boot == before.boot  # the kept disk came back
    assert members.stops() == {"web-1": 2}
    assert members.disks() == sorted([*before.boot.values(), *(f"{n}-data" for n in before.boot)])
    written = events(bed, run)
    (failed,) = of_kind(MemberReplacedFailedEvent, written)
    assert failed.reason is Reason.NOT_HEALTHY
    (back,) = of_kind(MemberRolledBackEvent, written)
    assert back.detail.member == "web-1"
    (ended,) = of_kind(RolloutEndedEvent, written)
    assert ended.reason is Reason.STAGE_FAILED
    assert "color" in bed.log(run, f"{GROUP}.verdict")


def test_a_service_that_dies_in_the_soak_fails_its_stage_and_the_fleet_goes_back(
    bed: Testbed, members: Members, old: str, new: str
) -> None:
    members.create(old, SOAKERS)
    members.configure("soak-1", "instant-ill_after", "40")
    before = members.facts()
    run = bed.bake(SOAKING, image=new)
    found = states(bed, run)
    assert run.state == "failed", found
    assert (found["replace_1[0]"], found["verify_stage_1"]) == ("success", "failed")
    assert found["roll_back[0]"] == "success"
    assert "replace_2[0]" not in found
    after = members.facts()
    assert (after.images, after.boot) == (before.images, before.boot)
    why = "soak-1 is not healthy on .*: unhealthy: app.service has failed"
    assert re.search(why, bed.log(run, f"{GROUP}.verdict"))
    watched = bed.log(run, f"{GROUP}.verify_stage_1")
    assert "soak-1: healthy" in watched
    assert "soak-1: unhealthy: app.service has failed" in watched


def test_a_freeze_holds_a_rollout_and_a_rejection_after_the_canary_takes_it_back(
    bed: Testbed, members: Members, old: str, new: str
) -> None:
    members.create(old, ASKERS)
    before = members.facts()
    freeze = {"key": "bakehouse_freeze", "value": '{"who": "ann", "why": "the quarter ends"}'}
    bed.airflow.call("POST", "/variables", json=freeze)
    try:
        run_id = bed.airflow.trigger(ASKING, {"image": new})
        select = f"{GROUP}.select_members_1"
        bed.airflow.wait_for_task(ASKING, run_id, select, ["deferred"], RUN)
        assert members.stops() == {}
        path = f"/dags/{ASKING}/dagRuns/{run_id}"
        waits = f"- **Waits:** `{select}` since 20"

        def note() -> str:
            return str(bed.airflow.call("GET", path)["note"])

        wait_until(lambda: note().startswith(waits), RUN, "the run's note to say what it waits for")
        assert "frozen by ann: the quarter ends" in note()
    finally:
        bed.airflow.call("DELETE", "/variables/bakehouse_freeze")
    approve = f"{GROUP}.approve_stage_1"
    bed.airflow.wait_for_task(ASKING, run_id, approve, ["awaiting_input"], RUN)
    (question,) = bed.airflow.call("GET", f"{path}/hitlDetails")["hitl_details"]
    assert question["subject"] == f"asking: go on with {new} after stage 1 of 2?"
    assert "| ask-1 | healthy |" in question["body"]
    assert "- stage 2 (next): ask-2" in question["body"]
    answer = {"chosen_options": ["Reject"], "params_input": {}}
    bed.airflow.call("PATCH", f"{path}/taskInstances/{approve}/-1/hitlDetails", json=answer)
    run = bed.airflow.wait(ASKING, run_id, RUN)
    found = states(bed, run)
    assert run.state == "failed", found
    assert (found["approve_stage_1"], found["roll_back[0]"]) == ("failed", "success")
    assert "replace_2[0]" not in found
    assert members.facts().boot == before.boot
    assert members.stops() == {"ask-1": 2}, "no further member was touched"
    (ended,) = of_kind(RolloutEndedEvent, events(bed, run))
    assert ended.reason is Reason.REJECTED
    assert "frozen by ann: the quarter ends" in bed.log(run, select)


@pytest.mark.usefixtures("baked")
def test_a_killed_wait_ends_its_machine_and_a_triggerer_that_dies_does_not(
    bed: Testbed, members: Members
) -> None:
    before = set(bed.left())
    conf = {"force": True, "roll_out": False, "vars": {"page": "old", "instant_until": "never"}}
    run_id = bed.airflow.trigger(BAKE, conf)
    bed.airflow.wait_for_task(BAKE, run_id, "wait_for_shutdown", ["deferred"], RUN)

    (builder,) = (one for one in set(bed.left()) - before if one.startswith("instance bake-"))
    since = len(members.calls("compute.instances.delete"))
    members.kill_triggerer()
    wait_until(
        lambda: (
            bed.airflow.states(BAKE, run_id)["wait_for_shutdown"] == "deferred"
            and bool(bed.airflow.call("GET", "/monitor/health")["triggerer"]["status"] == "healthy")
        ),
        RUN,
        "the triggerer to come back",
    )
    assert len(members.calls("compute.instances.delete")) == since
    task = f"/dags/{BAKE}/dagRuns/{run_id}/taskInstances/wait_for_shutdown"
    bed.airflow.call("PATCH", task, json={"new_state": "failed"})
    wait_until(lambda: set(bed.left()) <= before, RUN, "its machine to be gone")
    bed.airflow.wait(BAKE, run_id, RUN)
    name = builder.removeprefix("instance ")
    run, said = bed.airflow.run(BAKE, run_id), f"a person has ended this task: deleting {name}"
    wait_until(
        lambda: has_said(bed, run, "wait_for_shutdown", said), SOON, "the trigger to have ended it"
    )


def test_a_rollout_that_is_marked_failed_in_mid_swap_is_taken_up_by_the_next_one(
    bed: Testbed, members: Members, old: str, new: str
) -> None:
    members.create(old, ["web-1"])
    before = members.facts()
    # nobody can start it: the member is off, between its two disks
    rule = {"kind": "http", "status": 503, "times": 999}
    bed.compute.fault(method="compute.instances.start", resource="web-1", **rule)
    run_id = bed.airflow.trigger(ROLL_OUT, {"image": new, "members": ["web-1"]})
    members.wait_for_call("compute.instances.start")
    bed.airflow.call("PATCH", f"/dags/{ROLL_OUT}/dagRuns/{run_id}", json={"state": "failed"})
    assert bed.airflow.wait(ROLL_OUT, run_id, RUN).state == "failed"
    bed.compute.forget()
    assert before.boot["web-1"] in members.disks(), "the way back stands"
    again = roll(bed, new, ["web-1"])
    assert again.state == "success", bed.explain(again)
    after = members.facts()
    assert after.health == {"web-1": new}
    assert after.identity == before.identity
    # the disk that it had first stays for the sweep: no rollout that took it out has ended well
    assert members.disks() == sorted([before.boot["web-1"], after.boot["web-1"], "web-1-data"])


def test_a_later_stage_takes_those_before_back_too_in_reverse_order(
    bed: Testbed, members: Members, old: str, new: str
) -> None:
    members.create(old, NAMES, plain="web-3")
    before = members.facts()
    run = roll(bed, new)
    assert run.state == "failed"
    found = states(bed, run)
    assert (found["verify_stage_1"], found["replace_2[1]"]) == ("success", "failed")
    after = members.facts()
    assert (after.images, after.identity) == (before.images, before.identity)
    back = of_kind(MemberRolledBackEvent, events(bed, run))
    order = sorted(back, key=lambda event: str(event.at))
    assert [event.detail.member for event in order] == ["web-3", "web-2", "web-1"]
    assert after.boot == before.boot  # every kept disk came back


@pytest.mark.ci
def test_members_whose_disk_no_image_can_make_again_go_back_to_that_very_disk(
    bed: Testbed, members: Members, old: str, new: str
) -> None:
    """They were restored from snapshots; the last of them does not get healthy."""
    members.create(old, NAMES, plain="web-3")
    for name in ("web-1", "web-3"):
        members.restore(name)
    before = members.facts()
    bed.compute.forget()
    run = roll(bed, new)
    assert run.state == "failed"
    found = states(bed, run)
    assert (found["verify_stage_1"], found["replace_2[1]"]) == ("success", "failed")
    after = members.facts()
    assert (after.boot, after.identity) == (before.boot, before.identity)
    assert after.images == {"web-1": "", "web-2": old, "web-3": ""}
    assert members.stops() == dict.fromkeys(NAMES, 2)
    assert members.disks() == sorted([*before.boot.values(), *(f"{n}-data" for n in NAMES)])
    (ended,) = of_kind(RolloutEndedEvent, events(bed, run))
    assert ended.reason is Reason.STAGE_FAILED
    plan = bed.log(run, f"{GROUP}.plan")
    assert "web-3: its old disk web-3-restored alone" in plan
    assert "it was made of the snapshot web-3-" in plan


def test_of_two_runs_of_different_dags_one_waits(
    bed: Testbed, members: Members, old: str, new: str
) -> None:
    members.create(old, NAMES)
    members.configure("web-1", "instant-until", "another-run-waits")
    first = bed.airflow.trigger(ROLL_OUT, {"image": new})
    bed.airflow.wait_for_task(ROLL_OUT, first, f"{GROUP}.acquire_lease", ["success"], SOON)
    other = bed.airflow.trigger(BAKE, {"force": True})  # ends with a rollout of its own
    bed.airflow.wait_for_task(BAKE, other, f"{GROUP}.acquire_lease", ["deferred"], RUN)
    bed.compute.set_project_attribute("another-run-waits")
    ended = bed.airflow.wait(ROLL_OUT, first, RUN)
    second = bed.airflow.wait(BAKE, other, RUN)
    assert (ended.state, second.state) == ("success", "success")
    hold = bed.log(second, f"{GROUP}.acquire_lease")
    assert f"{ROLL_OUT} {first} (running) holds it since" in hold
    tasks = {t.task_id: t for t in bed.airflow.tasks(ROLL_OUT, first)}
    held = next(t for t in bed.airflow.tasks(*_key(second)) if t.task_id == f"{GROUP}.plan")
    released = tasks[f"{GROUP}.release_lease"]
    assert released.start is not None
    assert held.start is not None
    assert held.start >= released.start
    assert members.stops() == dict.fromkeys(NAMES, 2)


def test_an_owner_that_has_ended_or_is_forgotten_loses_the_fleet(
    bed: Testbed, members: Members, old: str
) -> None:
    members.create(old, ["web-1"])
    ended = roll(bed, old, ["web-1"])
    folder = bed.stack.layout.airflow_home / "ledger" / "leases" / "fleet-web"
    lease = Lease(LocalFileSystem(), str(folder))
    long_ago = datetime.now(UTC) - timedelta(days=1)
    for run_id, why in [
        (ended.run_id, "has ended: success"),
        ("none", "is unknown to Airflow and the lease has expired"),
    ]:
        owner = Owner(dag_id=ROLL_OUT, run_id=run_id)
        assert lease.take(owner, lease.newest(), long_ago, timedelta(hours=12))
        run = roll(bed, old, ["web-1"])
        assert run.state == "success", bed.explain(run)
        assert why in bed.log(run, f"{GROUP}.acquire_lease")
        newest = lease.newest()
        assert newest is not None
        assert (newest.owner.run_id, newest.released) == (run.run_id, True)


def test_a_rollout_of_nobody_skips_its_stages_and_can_be_cleared_when_somebody_needs_it(
    bed: Testbed, members: Members, old: str, new: str
) -> None:
    members.create(old, ["web-1"])
    run = roll(bed, old, ["web-1"])
    assert run.state == "success", bed.explain(run)
    states = bed.airflow.states(ROLL_OUT, run.run_id)
    of_stages = {
        task: state
        for task, state in states.items()
        if task.startswith(tuple(f"{GROUP}.{kind}_" for kind in STAGE_TASKS))
    }
    assert of_stages
    assert set(of_stages.values()) == {"skipped"}
    assert (states[f"{GROUP}.verdict"], states["result"]) == ("success", "success")
    members.delete()
    members.create(new, ["web-1"])
    bed.airflow.clear(ROLL_OUT, run.run_id, [f"{GROUP}.plan"], downstream=True)
    again = bed.airflow.wait(ROLL_OUT, run.run_id, RUN)
    assert again.state == "success", bed.explain(again)
    assert members.facts().images == {"web-1": old}


def test_a_member_replaced_is_not_touched_when_its_task_is_cleared(
    bed: Testbed, members: Members, old: str, new: str
) -> None:
    members.create(old, ["web-1"])
    run = roll(bed, new, ["web-1"])
    bed.airflow.clear(ROLL_OUT, run.run_id, [f"{GROUP}.replace_1"])
    again = bed.airflow.wait(ROLL_OUT, run.run_id, RUN)
    assert again.state == "success", bed.explain(again)
    assert members.stops() == {"web-1": 1}
    assert "holding the lease of fleet" in bed.log(
        run, f"{GROUP}.acquire_lease"
    )  # the lease was taken again


def _key(run: Run) -> tuple[str, str]:
    return run.dag_id, run.run_id
