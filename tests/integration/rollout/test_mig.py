"""A fleet that is a managed instance group, moved by a real localgce with instant machines."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock
from uuid import uuid4

import pytest
from tests.flow.fleet import HERE, ZONE
from tests.flow.group import GROUP, Group
from tests.support.deadlines import SOON
from tests.support.freeze import BY_ANN, switched
from tests.support.ledger import of_kind, read_ledger
from typer.testing import CliRunner

from bakehouse.cli import app
from bakehouse.cloud.compute_hook import hook_of
from bakehouse.config.new_project import write_project
from bakehouse.core.errors import OutcomeUnknown, PermanentError
from bakehouse.core.reasons import Reason
from bakehouse.fleet.load import load_fleet
from bakehouse.history.location import ledger_url
from bakehouse.history.rollout_events import (
    ImageRolledBackEvent,
    MemberReplacedEvent,
    MemberReplacedFailedEvent,
    MemberSkippedEvent,
    RolloutEndedEvent,
)
from bakehouse.history.wait_events import WaitsEvent
from bakehouse.housekeeping import template_sweep
from bakehouse.housekeeping.sweep import SweepFacts
from bakehouse.inventory.listing import read_own_inventory
from bakehouse.operators.hold_trigger import HoldTrigger
from bakehouse.rollout import mig_calls
from bakehouse.rollout.approval_operator import ApproveStage
from bakehouse.rollout.gates import Gate
from bakehouse.rollout.mig_operators import PlanGroup
from bakehouse.rollout.mig_trigger import GroupTrigger
from bakehouse.rollout.params import RolloutParams
from bakehouse.rollout.plan import RolloutPlan
from bakehouse.rollout.plan_text import plan_lines
from devstack.waiting import wait_until

from .test_approval import answer, approve
from .walk import Rollout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bakehouse.cloud.compute_hook import ComputeHook
    from bakehouse.fleet.gate import HttpCheck
    from bakehouse.history.events import LedgerEvent
    from bakehouse.rollout.health import Health
    from bakehouse.rollout.mig_progress import GroupObservation, Managed
    from bakehouse.rollout.strategies.mig import GroupMove
    from devstack.gce_api import Compute

    from .conftest import Images

FLEET = f"""\
recipe: web
strategy: mig
members: {{group: web, zones: [{ZONE}]}}
stages: [1, 100%]
health_deadline: 20s
"""
RUNS = count(1)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("mig_trigger", "mig_soak_trigger"):
        monkeypatch.setattr(f"bakehouse.rollout.{module}.FIRST_LOOK", 0.0)
    monkeypatch.setattr("bakehouse.rollout.mig_trigger.ASKED_EVERY", 0.02)


class Killed(BaseException):
    """The process of the triggerer was killed here."""


class Clock:
    """The triggerer's: each look at it is some seconds after the last one, until it stands."""

    def __init__(self, by: float) -> None:
        self.by, self.now, self.stands = by, 0.0, False

    def __call__(self) -> float:
        self.now += 0.0 if self.stands else self.by
        return self.now


def passing(monkeypatch: pytest.MonkeyPatch, by: float = 9.0) -> Clock:
    clock = Clock(by)
    for module in ("mig_trigger", "mig_gate"):
        monkeypatch.setattr(f"bakehouse.rollout.{module}.monotonic", clock)
    return clock


@pytest.fixture
def group(compute: Compute) -> Iterator[Group]:
    made = Group(compute)
    yield made
    made.delete()


def events(run: Rollout) -> list[LedgerEvent]:
    return read_ledger(ledger_url(), run.run_id)


def question(run: Rollout) -> str:
    """What a person is asked after the first stage."""
    step = ApproveStage(fleet=run.fleet, stage=1, task_id="approve_stage_1", sla=timedelta(hours=1))
    made = RolloutPlan.model_validate(run.xcom("plan"))
    assert step._goes_on(made)
    return step._question(made).body()


def rollout(image: str, text: str = FLEET) -> Rollout:
    return Rollout(load_fleet(text, "fleets/web.yaml"), f"manual__mig{next(RUNS)}", image)


@pytest.mark.long
def test_a_group_moves_stage_by_stage_onto_the_image(group: Group, images: Images) -> None:
    group.create(images.old)
    policy = group.get()["updatePolicy"]
    run = rollout(images.new)
    run.begin()
    run.stage(1)
    assert run.states["verify_stage_1"] == "success", run.errors
    canary, base = group.versions()
    assert canary[1] == {"fixed": 1, "calculated": 1}
    assert base == ("web-own", None)
    assert sorted(group.instances().values()) == sorted([images.new, images.old, images.old])
    asked = question(run)
    assert "- stage 1 (on the new image): 1 of 3 instances" in asked
    assert "- stage 2 (next): 3 of 3 instances" in asked
    assert f"- from {images.old}: the same packages" in asked
    (canary_name,) = (name for name, image in group.instances().items() if image == images.new)
    assert f"| {canary_name} | healthy | " in asked
    assert "| median of 2 not replaced | | " in asked
    run.stage(2)
    run.plan_rollback()
    run.roll_back()
    assert run.verdict() == "success", run.errors
    assert set(group.instances().values()) == {images.new}
    ((name, size),) = group.versions()
    assert size is None
    assert name.startswith(images.new)
    assert group.get()["updatePolicy"] == policy, "the group has its own update policy again"
    assert "web-own" in group.templates(), "somebody else's template stays"
    replaced = of_kind(MemberReplacedEvent, events(run))
    assert {event.detail.member for event in replaced} == set(group.instances())
    assert len(replaced) == 3, "each instance is recorded once, in its own stage"
    assert {event.detail.old_image for event in replaced} == {images.old}


def test_a_run_that_only_plans_tells_the_group_and_changes_nothing(
    group: Group, images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group.create(images.old)
    before = group.versions(), group.ids(), group.templates(), group.policy()
    run = rollout(images.new)
    run.params["plan_only"] = True
    assert run.through() == "success", run.errors
    assert (group.versions(), group.ids(), group.templates(), group.policy()) == before
    note = f"plan only, nothing was changed: the group web would move to {images.new}"
    assert run.xcom("verdict", "note") == note
    lines = list(plan_lines(RolloutPlan.model_validate(run.xcom("plan"))))
    assert lines[0].startswith(f"Plan of the fleet web: the group web moves to {images.new} (id ")
    assert lines[1:] == [
        "",
        "packages",
        f"  from {images.old} (3 members): the same packages",
        "",
        "order: at most 1 unavailable, 0 more during the update",
        "  stage 1 (1)     1 of 3 instances",
        "  stage 2 (100%)  3 of 3 instances",
        "",
        "way back: open, to the template web-own",
        "",
        "now: nothing blocks",
    ]
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "of the tests")  # else the command leaves one
    write_project(tmp_path / "project")
    (tmp_path / "project/include/fleets/web.yaml").write_text(FLEET)
    words = ["plan", "web", "--project", str(tmp_path / "project"), "--ledger", ledger_url()]
    done = CliRunner().invoke(app, words)
    assert done.stdout.splitlines()[:-2] == lines[:-1], "the command says the same"
    assert (group.versions(), group.ids(), group.templates(), group.policy()) == before


@pytest.mark.long
def test_a_group_whose_canary_gets_ill_goes_back_and_replaces_nobody_else(
    group: Group, images: Images
) -> None:
    """The image needs the attribute `color`, which its template lacks."""
    group.create(images.old, color="")
    before, policy, ids = group.versions(), group.get()["updatePolicy"], group.ids()
    run = rollout(images.new)
    assert run.through() == "failed"
    told = str(run.errors["replace_1_0"])
    assert "web is not healthy on" in told
    assert "says unhealthy: " in told, told
    assert "select_members_2" not in run.states
    assert run.states["roll_back_0"] == "success"
    assert set(group.instances().values()) == {images.old}
    assert (group.versions(), group.get()["updatePolicy"]) == (before, policy)
    assert len(ids & group.ids()) == 2, "only the canary was replaced"
    assert group.templates() == ["web-own"], "the template that nothing uses is deleted"
    written = events(run)
    (failed,) = of_kind(MemberReplacedFailedEvent, written)
    assert failed.reason is Reason.NOT_HEALTHY
    assert failed.detail.member.startswith("web-")
    (ended,) = of_kind(RolloutEndedEvent, written)
    assert ended.reason is Reason.STAGE_FAILED
    assert of_kind(ImageRolledBackEvent, written), "the image is to blame"


def test_a_group_whose_way_back_is_closed_is_left_as_it_is_and_the_run_says_why(
    group: Group, images: Images
) -> None:
    """Set back to a template without an image, it would delete instances and make none."""
    group.create(images.old, size=1, color="")
    run = rollout(images.new)
    run.begin()
    plan = run.xcom("plan")
    plan["group"]["old_image_id"] = "1"  # the image of that name is another one since
    run.stage(1)
    run.plan_rollback()
    run.roll_back()
    assert run.verdict() == "failed"
    told = str(run.errors["verdict"])
    assert f"its image {images.old} does not exist any more" in told
    assert set(group.instances().values()) == {images.new}
    assert group.policy() == "OPPORTUNISTIC", "it replaces nobody by itself"


@pytest.mark.long
def test_a_halted_group_replaces_no_further_instance_and_stays_for_a_look(
    group: Group, images: Images
) -> None:
    group.create(images.old, color="", updatePolicy={"type": "PROACTIVE"})
    run = rollout(images.new, FLEET.replace("[1, 100%]", "[100%]") + "on_failure: halt\n")
    assert run.through() == "failed"
    assert group.get()["updatePolicy"]["type"] == "OPPORTUNISTIC"
    held = [images.new, images.old, images.old]
    assert sorted(group.instances().values()) == sorted(held), "one at a time, by their health"
    # a rollout that mends it finds the group's own policy again, in the template of the halted one
    group.patch(allInstancesConfig={"properties": {"metadata": {"color": "red"}}})
    again = rollout(images.new, FLEET)
    again.force = True
    assert again.through() == "success", again.errors
    assert set(group.instances().values()) == {images.new}
    assert group.get()["updatePolicy"]["type"] == "PROACTIVE"


def test_a_group_is_halted_although_the_request_is_not_answered_at_first(
    group: Group, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    group.create(images.old, color="", updatePolicy={"type": "PROACTIVE"})
    stop, unanswered = mig_calls.stop, [OutcomeUnknown("503")]

    def at_first(*arguments: Any) -> Any:
        if unanswered:
            raise unanswered.pop()
        return stop(*arguments)

    monkeypatch.setattr(mig_calls, "stop", at_first)
    monkeypatch.setattr("bakehouse.triggers.killable.TRIES", (0.0, 0.05))
    run = rollout(images.new, FLEET.replace("[1, 100%]", "[100%]") + "on_failure: halt\n")
    assert run.through() == "failed"
    assert not unanswered
    assert group.get()["updatePolicy"]["type"] == "OPPORTUNISTIC"
    assert sorted(group.instances().values()) == sorted([images.new, images.old, images.old])


def test_a_group_that_cannot_make_its_instances_says_why_and_blames_no_image(
    group: Group, images: Images, compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    group.create(images.old)
    passing(monkeypatch, by=100.0)
    code = "ZONE_RESOURCE_POOL_EXHAUSTED"
    rule = {"kind": "operation", "method": "compute.instances.insert", "code": code}
    compute.fault(**rule, status=503, times=3)
    run = rollout(images.new, FLEET + "on_failure: halt\n")
    assert run.through() == "failed"
    told = str(run.errors["replace_1_0"])
    assert "0 of 1 instances run" in told
    assert f"CREATING: {code}" in told
    assert not of_kind(ImageRolledBackEvent, events(run))
    assert run.xcom("replace_1", "outcome", 0)["cause"] == "stock_out"


def test_an_instance_that_says_nothing_is_recreated_once_before_its_image_is_blamed(
    group: Group, images: Images, compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    group.create(images.old, size=1)
    silent = {"instant-until": f"let-{next(RUNS)}-boot"}
    group.patch(allInstancesConfig={"properties": {"metadata": silent}})
    recreate, clock = mig_calls.recreate, passing(monkeypatch)

    def heal(*arguments: Any) -> Any:
        compute.set_project_attribute(silent["instant-until"])
        clock.stands = True
        return recreate(*arguments)

    monkeypatch.setattr(mig_calls, "recreate", heal)
    run = rollout(images.new)
    run.begin()
    run.stage(1)
    assert run.states["replace_1_0"] == "success", run.errors
    (moved,) = of_kind(MemberReplacedEvent, events(run))
    assert moved.detail.first_try.endswith(f"no report of {images.new} within 20 s")
    assert not of_kind(ImageRolledBackEvent, events(run))


def test_an_instance_that_says_nothing_twice_is_the_images(
    group: Group, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    group.create(images.old, size=1)
    silent = {"instant-until": "nobody-lets-it"}
    group.patch(allInstancesConfig={"properties": {"metadata": silent}})
    monkeypatch.setattr("bakehouse.rollout.mig_operators.mig_calls.health", lambda *_: None)
    passing(monkeypatch)
    run = rollout(images.new, FLEET + "on_failure: halt\n")
    assert run.through() == "failed"
    assert "no report of" in str(run.errors["replace_1_0"])
    assert "; the first try: web-" in str(run.errors["replace_1_0"])
    outcome = run.xcom("replace_1", "outcome", 0)
    assert (outcome["state"], outcome["cause"]) == ("unhealthy", "silent")


def test_a_stateful_group_keeps_names_disks_and_the_config_of_an_instance(
    group: Group, images: Images, compute: Compute
) -> None:
    kept = {"disks": {"data": {"autoDelete": "ON_PERMANENT_INSTANCE_DELETION"}}}
    data = {"deviceName": "data", "initializeParams": {"diskSizeGb": "1"}, "autoDelete": True}
    boot = {"boot": True, "autoDelete": True, "deviceName": "boot"}
    boot["initializeParams"] = {"sourceImage": f"global/images/{images.old}"}
    group.template("web-data", "", disks=[boot, data])
    group.create(
        images.old,
        size=2,
        instanceTemplate="global/instanceTemplates/web-data",
        statefulPolicy={"preservedState": kept},
    )
    names = sorted(group.instances())
    state = {"preservedState": {"metadata": {"rack": "a"}}, "name": names[0]}
    path = f"{GROUP}/updatePerInstanceConfigs"
    group.call("POST", path, json={"perInstanceConfigs": [state]})
    disks = {d["name"]: d["id"] for d in compute.disks() if d["sizeGb"] == "1"}
    run = rollout(images.new)
    assert run.through() == "success", run.errors
    assert sorted(group.instances()) == names
    now = {d["name"]: d["id"] for d in compute.disks()}
    assert {n: now.get(n) for n in disks} == disks
    metadata = compute.call("GET", f"{HERE}/instances/{names[0]}")["metadata"]["items"]
    assert {"key": "rack", "value": "a"} in metadata
    policy = run.xcom("plan")["group"]["rolling"]
    assert (policy["replacementMethod"], policy["maxSurge"]) == ("RECREATE", {"fixed": 0})


def test_what_cannot_work_is_refused_before_anything_changes_and_all_at_once(
    group: Group, images: Images, compute: Compute
) -> None:
    kept = {"disks": {"boot": {"autoDelete": "NEVER"}}}
    group.create(images.old, size=1, statefulPolicy={"preservedState": kept})
    (name,) = group.instances()
    instance = compute.call("GET", f"{HERE}/instances/{name}")
    body = {"labels": {"bakehouse-hold": "anna"}, "labelFingerprint": instance["labelFingerprint"]}
    compute.call("POST", f"{HERE}/instances/{name}/setLabels", json=body)
    before = group.get()
    run = rollout(images.new, FLEET + "max_surge: 1\n")
    run.begin()
    told = str(run.errors["plan"])
    assert "its stateful policy keeps the boot disk (boot)" in told
    assert f"{name} has the label bakehouse-hold (by anna)" in told
    assert "it is stateful, so no instance can be made beside an old one: remove max_surge" in told
    assert told.endswith("Nothing was changed")
    assert group.get() == before
    assert group.templates() == ["web-own"]


def test_metadata_of_a_group_are_not_changed_by_a_rollout_and_no_image_is_taken_in_their_place(
    group: Group, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    group.create(images.old, size=0)
    before = group.get()
    run = rollout("")
    form = RolloutParams(metadata={"color": "blue"})
    monkeypatch.setattr(PlanGroup, "form", lambda *_: form)
    run.begin()
    told = str(run.errors["plan"])
    assert "the group web has its template's metadata" in told
    assert "all-instances-config update" in told
    assert group.get() == before


def test_a_group_that_does_not_exist_is_told_with_the_one_that_was_meant(
    group: Group, images: Images
) -> None:
    group.create(images.old, size=0)
    run = rollout(images.new, FLEET.replace("group: web", "group: webb"))
    run.begin()
    assert "no managed instance group webb exists in us-central1-a; did you mean web?" in str(
        run.errors["plan"]
    )


def test_an_empty_group_gets_its_template_and_a_group_on_the_image_is_left(
    group: Group, images: Images
) -> None:
    group.create(images.old, size=0)
    run = rollout(images.new)
    assert run.through() == "success", run.errors
    ((name, _),) = group.versions()
    assert name.startswith(images.new)
    again = rollout(images.new)
    assert again.through() == "success", again.errors
    assert group.versions() == [(name, None)]
    (skipped,) = of_kind(MemberSkippedEvent, events(again))
    assert (skipped.detail.member, skipped.reason) == ("web", Reason.ALREADY_ON_IMAGE)


@pytest.mark.long
def test_a_template_that_no_group_uses_any_more_is_swept_a_week_later(
    group: Group, images: Images
) -> None:
    group.create(images.old, size=0)
    for image in (images.new, images.old):
        assert rollout(image).through() == "success"
    hook = hook_of("google_cloud_default")
    inventory = read_own_inventory(hook, templates=True)
    facts = SweepFacts(datetime.now(UTC) + timedelta(days=8))
    found = {one.name: one for one in template_sweep.plan(inventory, facts)}
    ((now, _),) = group.versions()
    (before,) = found.keys() - {now}
    assert found[now].reason is Reason.USED_BY_GROUP
    assert found[before].sweep
    assert hook.delete_template(before, str(uuid4())) is not None
    wait_until(lambda: before not in group.templates(), SOON, "the sweep", every=0.05)


@pytest.mark.long
def test_a_group_that_somebody_else_updates_meanwhile_is_lost_and_left_to_them(
    group: Group, images: Images
) -> None:
    group.create(images.old)
    run = rollout(images.new)
    run.begin()
    run.stage(1)
    group.template("web-theirs", f"global/images/{images.old}")
    versions = [{"instanceTemplate": "global/instanceTemplates/web-theirs"}]
    group.patch(versions=versions)
    run.stage(2)
    told = str(run.errors["replace_2_0"])
    assert "somebody else gave the group web-theirs for all instances" in told
    run.plan_rollback()
    run.roll_back()
    assert run.verdict() == "failed"
    assert group.versions() == [("web-theirs", None)]


def test_the_way_back_of_a_template_by_family_is_the_image_that_its_instances_run(
    group: Group, images: Images
) -> None:
    """The family's newest image is the bad one by then."""
    group.create(images.old, color="")
    body = {"name": "by-family"}
    found = group.call("GET", "global/instanceTemplates/web-own")["properties"]
    found["disks"][0]["initializeParams"] = {"sourceImage": "global/images/family/web"}
    group.call("POST", "global/instanceTemplates", json={**body, "properties": found})
    wait_until(lambda: "by-family" in group.templates(), SOON, "a template", every=0.05)
    # nobody has replaced the instances since
    group.patch(versions=[{"instanceTemplate": "global/instanceTemplates/by-family"}])
    run = rollout(images.new)
    run.begin()
    assert "have another template than its versions name" in str(run.errors["plan"])


@pytest.mark.long
def test_a_plan_that_is_made_again_in_the_middle_has_the_same_way_back(
    group: Group, images: Images
) -> None:
    group.create(images.old)
    run = rollout(images.new)
    run.begin()
    first = run.xcom("plan")["group"]
    run.stage(1)
    run.begin()
    again = run.xcom("plan")["group"]
    for key in ("versions", "policy", "goal", "base"):
        assert again[key] == first[key], key
    for number in (1, 2):
        run.stage(number)
    run.plan_rollback()
    run.roll_back()
    assert run.verdict() == "success", run.errors
    assert set(group.instances().values()) == {images.new}


@pytest.mark.long
def test_an_instance_that_turns_ill_in_the_soak_fails_its_stage_and_the_group_goes_back(
    group: Group, images: Images
) -> None:
    group.create(images.old, size=1)
    config = {"instant-ill_after": "1", "instant-report_seconds": "0.3"}
    group.patch(allInstancesConfig={"properties": {"metadata": config}})
    run = rollout(images.new, FLEET + "soak: 5h\n")
    assert run.through() == "failed"
    assert run.states["replace_1_0"] == "success"
    told = str(run.errors["verify_stage_1"])
    assert "stage 1 did not stay healthy: web-" in told
    assert "app.service has failed" in told
    assert "select_members_2" not in run.states


def test_an_instance_that_is_slower_than_those_not_replaced_fails_the_stage_of_its_group(
    group: Group, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is healthy all the time: only the others show that it is not as it was."""
    group.create(images.old)
    config = {"instant-report_seconds": "0.3"}
    group.patch(allInstancesConfig={"properties": {"metadata": config}})
    reports, read = count(1), mig_calls.health

    def measured(hook: ComputeHook, one: Managed) -> Health | None:
        health = read(hook, one)
        if health is None:
            return None
        p99 = 90.0 if health.image == images.new else 10.0
        return replace(health, uptime=float(next(reports)), numbers={"p99_ms": p99})

    monkeypatch.setattr(mig_calls, "health", measured)
    run = rollout(images.new, FLEET + "soak: 5h\ncompare: {p99_ms: lower}\n")
    run.begin()
    run.stage(1)
    assert run.states["replace_1_0"] == "success", run.errors
    told = str(run.errors["verify_stage_1"])
    assert "stage 1 did not stay healthy: web-" in told
    assert "p99_ms is 90 in the median" in told


def test_a_closed_gate_outside_holds_each_step_of_a_group_and_has_a_deadline(
    group: Group, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    group.create(images.old, size=2)
    closed = Gate(open=False, why="2 partitions are under-replicated")
    answers = [closed, closed, Gate(open=True)]
    asked: list[dict[str, str]] = []

    def ask(_: HttpCheck, names: dict[str, str]) -> Gate:
        asked.append(names)
        return answers.pop(0) if answers else Gate(open=False, why="status 503")

    monkeypatch.setattr("bakehouse.rollout.gate_checks.ask_http", ask)
    monkeypatch.setattr("bakehouse.rollout.mig_gate.ASK_AGAIN", 0.0)
    run = rollout(images.new, FLEET + "gate: {http: {url: http://lb/$member}, deadline: 1m}\n")
    run.begin()
    run.stage(1)
    assert run.states["replace_1_0"] == "success", run.errors
    assert asked == [{"fleet": "web", "member": "web", "zone": ZONE}] * 3, (
        "by the plan, twice before"
    )
    answers.clear()
    passing(monkeypatch, by=30.0)
    run.stage(2)
    assert "the gate did not open within 60 s: status 503. Hint: " in str(run.errors["replace_2_0"])
    assert sorted(group.instances().values()) == sorted([images.new, images.old])


def test_the_plan_of_a_group_says_what_the_checks_outside_say_now(
    group: Group, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = Gate(open=False, why="http: status 503, node 4 is draining")
    monkeypatch.setattr("bakehouse.rollout.gate_checks.ask_http", lambda *_: closed)
    group.create(images.old, size=1)
    run = rollout(images.new, FLEET + "gate: {http: {url: https://lb.example/$member}}\n")
    run.params["plan_only"] = True
    assert run.through() == "success", run.errors
    made = RolloutPlan.model_validate(run.xcom("plan"))
    assert made.gates is not None
    assert [(answer.member, answer.open) for answer in made.gates.answers] == [("web", False)]
    assert closed.why in [blocker.why for blocker in made.blockers]
    assert "http: status 503, node 4 is draining" in run.xcom("verdict", "note")


@pytest.mark.long
def test_a_rejected_group_goes_back_and_its_image_counts_as_failed_there(
    group: Group, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "airflow.providers.standard.operators.hitl.upsert_hitl_detail", lambda **_: None
    )
    group.create(images.old)
    before = group.versions()
    run = rollout(images.new, FLEET + "approval: {after: [1]}\n")
    run.begin()
    run.stage(1)
    assert images.new in group.instances().values()
    with pytest.raises(PermanentError, match="ann rejected the rollout after stage 1"):
        approve(run, **answer("Reject"))
    run.plan_rollback()
    run.roll_back()
    assert run.verdict() == "failed"
    assert (group.versions(), set(group.instances().values())) == (before, {images.old})
    (ended,) = of_kind(RolloutEndedEvent, events(run))
    assert ended.reason is Reason.REJECTED
    assert f"No rollout of web takes {images.new} by itself" in str(run.errors["verdict"])


def test_a_group_that_was_not_changed_keeps_its_own_update_policy(
    group: Group, images: Images, compute: Compute
) -> None:
    """The template is refused, so there is nothing to stop and nothing to take back."""
    group.create(images.old, size=1, updatePolicy={"type": "PROACTIVE"})
    before = group.get()
    refused = {"kind": "http", "method": "compute.instanceTemplates.insert", "status": 403}
    compute.fault(**refused, reason="forbidden", times=9)
    run = rollout(images.new)
    assert run.through() == "failed"
    assert "403" in str(run.errors["replace_1_0"])
    assert group.get() == before


def test_a_group_that_stays_healthy_for_the_soak_goes_on(group: Group, images: Images) -> None:
    group.create(images.old, size=1)
    run = rollout(images.new, FLEET.replace("[1, 100%]", "[100%]") + "soak: 1s\n")
    assert run.through() == "success", run.errors
    assert set(group.instances().values()) == {images.new}


@pytest.mark.long
def test_a_freeze_in_the_middle_of_a_stage_stops_the_next_instance_and_the_stage_goes_on_after_it(
    group: Group, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    group.create(images.old, size=2)
    switch = switched(monkeypatch)
    run = rollout(images.new, FLEET.replace("[1, 100%]", "[100%]") + "held_at_most: 1h\n")
    run.begin()
    # the stage, the group, the first instance; before the next one; the wait
    switch.answers = [None, None, None, BY_ANN, BY_ANN, BY_ANN, None]
    run.replace(1)
    assert run.states["replace_1_0"] == "success", run.errors
    assert [type(waited.trigger) for waited in run.deferred] == [
        GroupTrigger,
        HoldTrigger,
        GroupTrigger,
    ]
    waits = of_kind(WaitsEvent, events(run))
    assert [(wait.reason, wait.detail.member) for wait in waits] == [(Reason.FROZEN, "web")]
    assert set(group.instances().values()) == {images.new}


def test_a_group_that_takes_all_of_a_stage_by_itself_is_stopped_by_a_freeze(
    group: Group, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without guest attributes nothing but its update policy holds it."""
    group.create(images.old, size=1, speaks=False)
    switch = switched(monkeypatch)
    run = rollout(images.new, FLEET.replace("[1, 100%]", "[100%]"))
    run.begin()
    seen: list[str] = []
    look_at, looks = mig_calls.look, count()

    def look(*arguments: Any) -> GroupObservation:
        found = look_at(*arguments)
        if next(looks) < 4 and found.group is not None:  # it is not stable at once
            return replace(found, group={**found.group, "status": {}})
        return found

    monkeypatch.setattr(mig_calls, "look", look)

    stop_at = mig_calls.stop

    def stop(hook: ComputeHook, move: GroupMove, request: str) -> Any:
        seen.append(group.get()["updatePolicy"]["type"])
        switch.answers = [None]
        return stop_at(hook, move, request)

    monkeypatch.setattr(mig_calls, "stop", stop)
    switch.answers = [None, None, None, BY_ANN]
    run.replace(1)
    assert run.states["replace_1_0"] == "success", run.errors
    assert seen == ["PROACTIVE", "OPPORTUNISTIC"], "asked until there is nothing to stop"
    assert set(group.instances().values()) == {images.new}


@pytest.mark.long
def test_whoever_ends_the_task_stops_the_group_and_another_try_goes_on(
    group: Group, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    group.create(images.old, size=2)
    run = rollout(images.new)
    run.begin()
    run.stage(1)
    (move,) = run.xcom("select_members_1")
    trigger = GroupTrigger(
        move=move, conn_id="google_cloud_default", healthy_within=9.0, deadline=0.0, turn="1.0"
    )
    with monkeypatch.context() as patched:  # Airflow has given the trigger to another triggerer
        patched.setattr(GroupTrigger, "is_others_now", AsyncMock(return_value=True))
        before = group.policy()
        asyncio.run(trigger.on_kill())
        assert group.policy() == before != "OPPORTUNISTIC"
    asyncio.run(trigger.on_kill())
    wait_until(lambda: group.policy() == "OPPORTUNISTIC", SOON, "the stop", every=0.05)
    run.stage(2)
    assert run.states["replace_2_0"] == "success", run.errors
    assert group.policy() == "PROACTIVE"
    assert set(group.instances().values()) == {images.new}


@pytest.mark.parametrize("call", ["make_template", "update"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_move_that_is_killed_goes_on_where_it_was_and_replaces_nobody_twice(
    group: Group,
    images: Images,
    compute: Compute,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    when: str,
) -> None:
    group.create(images.old, size=1)
    run = rollout(images.new, FLEET.replace("[1, 100%]", "[100%]"))
    run.begin()
    ask = getattr(mig_calls, call)

    def kill(*arguments: Any) -> Any:
        if when == "after":
            ask(*arguments)
        raise Killed

    compute.forget()
    with monkeypatch.context() as patched:
        patched.setattr(mig_calls, call, kill)
        with pytest.raises(Killed):
            run.replace(1)
    run.stage(1)
    run.plan_rollback()
    run.roll_back()
    assert run.verdict() == "success", run.errors
    assert set(group.instances().values()) == {images.new}
    made = [r for r in compute.requests()["requests"] if r["method"].endswith("emplates.insert")]
    assert len(made) == 1
    assert len(of_kind(MemberReplacedEvent, events(run))) == 1
