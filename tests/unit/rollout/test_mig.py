"""The move of a managed instance group: what is pinned, what is set, and what an answer means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bakehouse.core.errors import PermanentError
from bakehouse.fleet.model import Fleet
from bakehouse.rollout.health import Health
from bakehouse.rollout.mig_plan import (
    FixedOrPercent,
    Version,
    limit,
    rounded,
    same,
    stages_of,
    template_name,
)
from bakehouse.rollout.mig_progress import GroupObservation, managed, progress
from bakehouse.rollout.mig_survey import GroupFacts, Judged, judge
from bakehouse.rollout.mig_templates import copied, described
from bakehouse.rollout.plan import RolloutPlan, Target
from bakehouse.rollout.states import State
from bakehouse.rollout.strategies.mig import GroupMove, back, forward, way_back

P = "projects/p"
OLD = f"{P}/global/instanceTemplates/web-1"
IMAGE = Target(
    id="22", name="web-new", self_link=f"{P}/global/images/web-new", recipe="web", disk_gb=10
)
LINK = f"{P}/global/images/web-old"
DISK = {
    "boot": True,
    "deviceName": "boot",
    "initializeParams": {"sourceImage": LINK, "diskSizeGb": "8", "labels": {"a": "b"}},
}
SPEAKS = {"items": [{"key": "enable-guest-attributes", "value": "TRUE"}]}


def template(name: str = "web-1", **properties: Any) -> dict[str, Any]:
    given = {"disks": [DISK], "metadata": SPEAKS, "machineType": "e2-small", **properties}
    return {"name": name, "properties": given}


def instance(name: str, path: str = OLD, **more: Any) -> dict[str, Any]:
    return {
        "instance": f"zones/us-central1-a/instances/{name}",
        "id": f"id-{name}",
        "currentAction": "NONE",
        "instanceStatus": "RUNNING",
        "version": {"instanceTemplate": f"https://www.googleapis.com/compute/v1/{path}"},
        **more,
    }


def group(size: int = 4, **more: Any) -> dict[str, Any]:
    return {
        "name": "web",
        "id": "7",
        "zone": f"{P}/zones/us-central1-a",
        "targetSize": size,
        "versions": [{"instanceTemplate": OLD}],
        "updatePolicy": {
            "type": "OPPORTUNISTIC",
            "minimalAction": "REFRESH",
            "mostDisruptiveAllowedAction": "RESTART",
            "replacementMethod": "SUBSTITUTE",
            "maxSurge": {"fixed": 1, "calculated": 1},
            "maxUnavailable": {"percent": 25, "calculated": 1},
        },
        "status": {"isStable": True, "versionTarget": {"isReached": True}},
        **more,
    }


def fleet(**more: Any) -> Fleet:
    members = {"group": "web", "zones": ["us-central1-a"]}
    body = {"name": "web", "recipe": "web", "strategy": "mig", "members": members, **more}
    return Fleet.model_validate(body)


def facts(**more: Any) -> GroupFacts:
    given: dict[str, Any] = {
        "group": group(),
        "instances": tuple(managed(instance(f"web-{n}")) for n in "abcd"),
        "templates": {OLD: template()},
        "images": {LINK: {"id": "11", "selfLink": LINK, "name": "web-old"}},
        **more,
    }
    return GroupFacts(**given)


def judged(of: GroupFacts | None = None, **more: Any) -> Judged:
    return judge(of or facts(), fleet(**more), "run1", IMAGE, "1800000000")


def move_at(stage: int, of: GroupFacts | None = None, **more: Any) -> GroupMove:
    planned = judged(of, **more).plan
    assert planned is not None
    stages: tuple[Any, ...] = ((),) * len(planned.stages)
    whole = RolloutPlan(fleet="web", run="run1", image=IMAGE, stages=stages, group=planned)
    return forward(whole, planned, stage) if stage else back(whole, planned)


def at(
    move: GroupMove, versions: tuple[Version, ...], size: int = 4, **more: Any
) -> dict[str, Any]:
    """The group as Compute Engine shows it with these versions."""
    shown = []
    for version in versions:
        body = version.body()
        if version.target is not None:
            number = version.target.get("fixed")
            if number is None:
                number = rounded(version.target["percent"], size)
            body["targetSize"]["calculated"] = number
        shown.append(body)
    return group(size, versions=shown, updatePolicy=move.policy, **more)


def healthy(move: GroupMove, *names: str) -> dict[str, Health | None]:
    return {f"id-{n}": Health("healthy", move.image.name, f"boot-{n}") for n in names}


@pytest.mark.parametrize(
    ("stages", "size", "targets"),
    [
        ((1, "50%", "100%"), 4, [{"fixed": 1}, {"percent": 50}, None]),
        ((1, "50%", "100%"), 3, [{"fixed": 1}, {"percent": 50}, None]),  # both round up to 2
        # Compute Engine would round to none, and to 3; the file means 1 and 4
        (("10%", "100%"), 3, [{"fixed": 1}, None]),
        (("33%", "100%"), 10, [{"fixed": 4}, None]),
        ((20, "100%"), 4, [{"fixed": 4}, None]),
        (("100%",), 0, [None]),
    ],
)
def test_a_stage_is_a_share_where_compute_engine_rounds_it_as_the_file_means(
    stages: tuple[int | str, ...], size: int, targets: list[FixedOrPercent | None]
) -> None:
    assert [stage.target for stage in stages_of(stages, size)] == targets


@pytest.mark.parametrize(
    ("given", "size", "limited"),
    [
        (2, 4, {"fixed": 2}),
        ("25%", 20, {"fixed": 5}),
        ("50%", 5, {"fixed": 2}),  # rounded down; Compute Engine would round up
        ("5%", 4, {"fixed": 1}),  # but never to none
        (0, 4, {"fixed": 0}),
    ],
)
def test_a_limit_of_the_file_is_one_that_a_group_takes(
    given: int | str, size: int, limited: FixedOrPercent
) -> None:
    assert limit(given, size) == limited


def test_what_the_group_has_is_pinned_and_what_the_rollout_sets_is_the_groups_own_otherwise() -> (
    None
):
    planned = judged(max_surge=2).plan
    assert planned is not None
    assert planned.versions == (Version(template=OLD),)
    assert planned.policy["maxUnavailable"] == {"percent": 25}, "without what is calculated"
    assert planned.rolling == {
        **planned.policy,
        "type": "PROACTIVE",
        "minimalAction": "REPLACE",
        "mostDisruptiveAllowedAction": "REPLACE",
        "maxSurge": {"fixed": 2},
        "maxUnavailable": {"fixed": 1},
    }
    assert (planned.old_image_id, planned.speaks) == ("11", True)
    (new,) = planned.templates
    assert new.name == template_name("web-new", "run1", "web", "22")
    said = described({"description": new.description})
    assert said["run"] == "run1"
    assert said["expires"] == "1800000000"
    assert said["bakehouse-fleet"] == "web"
    assert len(new.description) < 2_048


def test_the_new_template_is_the_present_one_but_for_the_image_of_its_boot_disk() -> None:
    planned = judged().plan
    assert planned is not None
    data = {"deviceName": "data", "initializeParams": {"diskSizeGb": "100"}}
    base = template(disks=[DISK, data], tags={"items": ["web"]})
    body = copied(base, planned.templates[0])
    boot, other = body["properties"]["disks"]
    assert boot["initializeParams"] == {
        "sourceImage": IMAGE.self_link,
        "diskSizeGb": "10",  # the image needs more than the 8 GB of now
        "labels": {"a": "b"},
    }
    assert other == data
    assert body["properties"]["tags"] == {"items": ["web"]}
    assert base["properties"]["disks"][0] == DISK, "what was read is not changed"


def test_a_template_of_a_snapshot_gets_the_image_in_its_place() -> None:
    planned = judged().plan
    assert planned is not None
    params = {"sourceSnapshot": "global/snapshots/s", "sourceSnapshotEncryptionKey": {"a": "b"}}
    base = template(disks=[{**DISK, "initializeParams": params}])
    (boot,) = copied(base, planned.templates[0])["properties"]["disks"]
    assert boot["initializeParams"] == {"sourceImage": IMAGE.self_link}


@pytest.mark.parametrize(
    "more",
    [
        {"group": group(statefulPolicy={"preservedState": {"disks": {"data": {}}}})},
        {"configs": [{"name": "web-a", "preservedState": {"metadata": {"a": "b"}}}]},
        {"group": group(updatePolicy={"replacementMethod": "RECREATE", "maxSurge": {"fixed": 0}})},
    ],
)
def test_a_group_with_state_is_recreated_without_a_surge(more: dict[str, Any]) -> None:
    planned = judged(facts(**more)).plan
    assert planned is not None
    assert planned.rolling["replacementMethod"] == "RECREATE"
    assert planned.rolling["maxSurge"] == {"fixed": 0}
    (refused,) = judged(facts(**more), max_surge=1).refusals
    assert "remove max_surge from include/fleets/web.yaml" in refused


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (
            {"group": group(statefulPolicy={"preservedState": {"disks": {"boot": {}}}})},
            "its stateful policy keeps the boot disk (boot)",
        ),
        (
            {"configs": [{"name": "web-a", "preservedState": {"disks": {"boot": {}}}}]},
            "the per-instance config of web-a keeps its boot disk (boot)",
        ),
        ({"labels": {"web-a": {"bakehouse-hold": "anna"}}}, "web-a has the label bakehouse-hold"),
        ({"templates": {OLD: None}}, "its template web-1 does not exist any more"),
        (
            {
                "templates": {
                    OLD: template(disks=[{"boot": True, "source": "zones/us-central1-a/disks/d"}])
                }
            },
            "its template web-1 names no image",
        ),
        (
            {
                "instances": (managed(instance("web-a", f"{P}/global/instanceTemplates/x")),),
                "templates": {OLD: template(), f"{P}/global/instanceTemplates/x": None},
            },
            "1 of its instances (web-a) have another template than its versions name",
        ),
    ],
)
def test_what_cannot_work_is_refused_with_its_reason(more: dict[str, Any], why: str) -> None:
    (refused,) = judged(facts(**more)).refusals
    assert why in refused


def test_an_ill_instance_of_a_template_that_the_group_has_left_refuses_nothing() -> None:
    """A fixing image must reach a group that somebody has left in the middle of an update."""
    path = f"{P}/global/instanceTemplates/x"
    ill = managed(instance("web-a", path, instanceStatus="TERMINATED", currentAction="RECREATING"))
    found = judged(facts(instances=(ill,), templates={OLD: template(), path: None}))
    assert found.plan is not None
    assert found.plan.unstable == "web-a is RECREATING"


def test_a_group_on_the_image_by_its_id_is_left_and_one_of_an_image_of_that_name_is_not() -> None:
    here = {LINK: {"id": "22", "selfLink": LINK, "name": "web-new"}}
    assert judged(facts(images=here)) == Judged()
    assert judged(facts(images={LINK: {"id": "9", "selfLink": LINK, "name": "web-new"}})).plan


def test_a_group_on_the_image_with_an_instance_that_cannot_be_made_is_moved() -> None:
    here = {LINK: {"id": "22", "selfLink": LINK, "name": "web-new"}}
    attempt = {"errors": {"errors": [{"code": "QUOTA_EXCEEDED", "message": "no"}]}}
    bad = managed(instance("web-a", currentAction="CREATING", lastAttempt=attempt))
    assert judged(facts(images=here, instances=(bad,))).plan


def test_a_way_back_that_is_closed_is_remarked_before_anything_changes() -> None:
    found = judged(facts(images={LINK: None}))
    assert found.plan is not None
    assert found.remarks == ("the way back is closed: its image web-old does not exist any more",)
    assert found.plan.closed == "its image web-old does not exist any more"


def test_a_template_by_family_gets_a_way_back_of_the_image_that_most_instances_run() -> None:
    link = f"{P}/global/images/family/web"
    by_family = template(disks=[{**DISK, "initializeParams": {"sourceImage": link}}])
    runs = ("11", f"{P}/global/images/web-old")
    boots = {"web-a": runs, "web-b": runs, "web-c": ("10", f"{P}/global/images/older")}
    of = facts(templates={OLD: by_family}, images={}, boot_images=boots)
    planned = judged(of).plan
    assert planned is not None
    new, pinned = planned.templates
    assert (new.image, pinned.image) == (IMAGE.self_link, runs[1])
    (version,) = way_back(planned)
    assert version.template == f"{P}/global/instanceTemplates/{pinned.name}"
    assert move_at(0, of).versions == (version,)
    # until it must go back, the instances that are not moved yet keep their template
    assert planned.versions_at(1)[1].template == OLD


def test_a_run_that_plans_again_pins_what_it_had_pinned() -> None:
    first = judged().plan
    assert first is not None
    ours = {"name": first.templates[0].name, "description": first.templates[0].description}
    now = {**template(), **ours}
    shown = at(move_at(1), first.versions_at(1))
    of = facts(group=shown, templates={OLD: template(), first.goal: now})
    again = judged(of).plan
    assert again is not None
    assert (again.versions, again.policy, again.goal) == (first.versions, first.policy, first.goal)


def test_the_policy_of_a_run_that_did_not_end_is_not_taken_for_the_groups_own() -> None:
    first = judged().plan
    assert first is not None
    left = {**template(), "description": first.templates[0].description}
    stopped = {**first.rolling, "type": "OPPORTUNISTIC"}
    shown = group(versions=[{"instanceTemplate": first.goal}], updatePolicy=stopped)
    there = (managed(instance("web-a", first.goal)),)
    of = facts(group=shown, templates={first.goal: left}, instances=there)
    again = judge(of, fleet(), "run2", IMAGE.model_copy(update={"id": "33"}), "1")
    assert again.plan is not None
    assert again.plan.policy == first.policy


def test_versions_are_compared_whatever_their_order() -> None:
    one, two = Version(template="a", target={"fixed": 1}), Version(template="b")
    assert same((one, two), (two, one))
    assert not same((one, two), (one.model_copy(update={"target": {"fixed": 2}}), two))


def test_a_stage_takes_no_more_instances_at_once_than_may_be_unavailable() -> None:
    """The group takes one for available that runs; the rollout one that is healthy."""
    move = move_at(1, stages=["75%", "100%"])
    seen = progress(GroupObservation(group(), templates=frozenset({move.template})), move)
    assert seen.state is State.PREPARED
    assert [v.target for v in seen.due] == [{"fixed": 1}, None]
    targets = []
    for good in (1, 2):
        there = [instance(f"web-{n}", move.goal[0]) for n in "abcd"[:good]]
        there += [instance(f"web-{n}") for n in "abcd"[good:]]
        observed = GroupObservation(
            at(move, seen.due),
            tuple(map(managed, there)),
            reports=healthy(move, *(f"web-{n}" for n in "abcd"[:good])),
        )
        seen = progress(observed, move)
        assert seen.state is State.UPDATING
        targets.append([v.target for v in seen.due])
    assert targets == [[{"fixed": 2}, None], [{"percent": 75}, None]]


def test_a_stage_goes_on_from_the_share_of_the_one_before() -> None:
    of = facts(group=group(20))
    move, before = move_at(2, of, stages=["50%", "100%"]), move_at(1, of, stages=["50%", "100%"])
    names = [f"web-{n}" for n in range(20)]
    there = [instance(n, move.goal[0]) for n in names[:10]] + [instance(n) for n in names[10:]]
    shown = at(move, before.versions, 20)
    found = progress(
        GroupObservation(shown, tuple(map(managed, there)), reports=healthy(move, *names[:10])),
        move,
    )
    assert [v.target for v in found.due] == [{"fixed": 11}, None]


def observe(move: GroupMove, there: list[dict[str, Any]], *good: str, **status: Any) -> Any:
    shown = at(move, move.versions)
    shown["status"] = {"isStable": True, "versionTarget": {"isReached": True}} | status
    return progress(
        GroupObservation(shown, tuple(map(managed, there)), reports=healthy(move, *good)), move
    )


def test_a_move_has_ended_when_the_group_is_stable_on_its_versions_and_all_are_healthy() -> None:
    move = move_at(1, stages=[2, "100%"])
    there = [instance("web-a", move.goal[0]), instance("web-b", move.goal[0]), instance("web-c")]
    assert observe(move, there, "web-a", "web-b").state is State.REPLACED
    assert observe(move, there, "web-a").state is State.UPDATING
    assert observe(move, there, "web-a").why.endswith("web-b has not reported yet")
    found = observe(move, there, "web-a", "web-b", isStable=False)
    assert (found.state, found.why) == (
        State.UPDATING,
        "2 of 2 instances run web-new; it is not stable yet",
    )
    found = observe(move, there, "web-a", "web-b", versionTarget={"isReached": False})
    assert found.state is State.UPDATING


def test_why_a_group_does_not_get_stable_is_what_its_instances_say() -> None:
    move = move_at(1, stages=[2, "100%"])
    error = {"code": "QUOTA_EXCEEDED", "message": "Quota 'CPUS' exceeded."}
    there = [
        instance(
            "web-a",
            move.goal[0],
            currentAction="CREATING",
            instanceStatus="",
            lastAttempt={"errors": {"errors": [error]}},
        ),
        instance("web-b", move.goal[0], instanceHealth=[{"detailedHealthState": "TIMEOUT"}]),
        instance("web-c", currentAction="DELETING", instanceStatus="STOPPING"),
    ]
    found = observe(move, there, isStable=False)
    assert found.why == (
        "0 of 2 instances run web-new; web-a is CREATING: QUOTA_EXCEEDED: Quota 'CPUS' exceeded.;"
        " web-b is TIMEOUT by its health check; web-c (of another template) is DELETING"
    )


def test_ill_instances_of_the_old_template_do_not_keep_a_canary_from_being_good() -> None:
    """They are what the new image is to mend: such a group is never stable."""
    ill = managed(instance("web-c", currentAction="RECREATING", instanceStatus="TERMINATED"))
    of = facts(instances=(ill,))
    move = move_at(1, of, stages=[1, "100%"])
    assert move.unstable == "web-c is RECREATING"
    there = [instance("web-a", move.goal[0])]
    there.append(instance("web-c", currentAction="RECREATING", instanceStatus="TERMINATED"))
    unsettled = {"isStable": False, "versionTarget": {"isReached": False}}
    assert observe(move, there, "web-a", **unsettled).state is State.REPLACED
    was_stable = move.model_copy(update={"unstable": ""})
    assert observe(was_stable, there, "web-a", **unsettled).state is State.UPDATING


def test_an_instance_that_says_it_is_ill_ends_the_move() -> None:
    move = move_at(1)
    shown = at(move, move.versions)
    report = Health("unhealthy", "web-new", "boot", "no color")
    there = (managed(instance("web-a", move.goal[0])),)
    found = progress(GroupObservation(shown, there, reports={"id-web-a": report}), move)
    assert found.state is State.UNHEALTHY
    assert "web-a says unhealthy: no color" in found.why


def test_a_group_without_guest_attributes_is_judged_by_its_own_checks() -> None:
    of = facts(templates={OLD: template(metadata={})})
    assert "say nothing of their health" in judged(of).remarks[0]
    move = move_at(1, of, stages=[1, "100%"])
    assert observe(move, [instance("web-a", move.goal[0])]).state is State.REPLACED
    assert move.base is None, "nothing would end a wave earlier than the group itself does"
    sick = instance("web-a", move.goal[0], instanceHealth=[{"detailedHealthState": "UNHEALTHY"}])
    assert observe(move, [sick]).state is State.UPDATING
    assert judged(facts(templates={OLD: template(metadata={})}, project_speaks=True)).remarks == ()


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        (None, "the group was deleted, or made anew"),
        (group(id="8"), "the group was deleted, or made anew"),
        (
            group(versions=[{"instanceTemplate": f"{P}/global/instanceTemplates/theirs"}]),
            "somebody else gave the group theirs for all instances",
        ),
    ],
)
def test_a_group_in_other_hands_is_lost(shown: dict[str, Any] | None, why: str) -> None:
    found = progress(GroupObservation(shown), move_at(1))
    assert (found.state, found.why) == (State.LOST, why)


def test_the_way_back_waits_for_reports_only_of_an_image_that_has_reported() -> None:
    assert not move_at(0).speaks
    told = move_at(0, facts(reports=frozenset({"web-old"})))
    assert (told.speaks, told.image.name, told.way) == (True, "web-old", "back")
    assert told.versions == (Version(template=OLD),)
    # from wherever the stages had come
    assert any(same(told.known[1], known) for known in told.known)


def test_a_stage_without_an_instance_more_changes_nothing_but_the_last_one_settles() -> None:
    planned = judged(facts(group=group(1))).plan
    assert planned is not None
    assert planned.names_of_stages == (("web",), (), ("web",))
    assert planned.versions_at(3) == (
        Version(template=planned.goal, name=planned.templates[0].name),
    )


FORM = Path(__file__).with_name("stored") / "group-1.json"


def test_what_this_version_stores_of_a_group_says_the_same_to_later_ones() -> None:
    """The example is not made anew: a change of a form must read it still."""
    stored = json.loads(FORM.read_text())
    plan = RolloutPlan.model_validate(stored["plan"])
    move = GroupMove.model_validate(stored["move"])
    assert plan.group is not None
    assert plan.model_dump(mode="json")["group"].items() >= stored["plan"]["group"].items()
    assert move.model_dump(mode="json").items() >= stored["move"].items()
    assert forward(plan, plan.group, 1).versions == move.versions
    with pytest.raises(PermanentError, match="stored by a newer version"):
        GroupMove.model_validate({**stored["move"], "schema_version": 99})


def test_a_plan_without_a_group_is_read_again() -> None:
    """It is stored between tasks, and read by a newer version after an upgrade."""
    planned = judged().plan
    whole = RolloutPlan(fleet="web", run="run1", image=IMAGE, stages=((), ()), group=planned)
    assert RolloutPlan.model_validate(whole.model_dump(mode="json")) == whole
    older = whole.model_dump(mode="json")
    del older["group"]
    assert RolloutPlan.model_validate(older).group is None


def test_a_busy_instance_is_neither_ill_nor_silent_for_good() -> None:
    move = move_at(1)
    busy = Health("busy", "web-new", "boot", "busy: 3 of 9 partitions")
    there = (managed(instance("web-a", move.goal[0])),)
    shown = at(move, move.versions)
    found = progress(GroupObservation(shown, there, reports={"id-web-a": busy}), move)
    assert (found.state, found.busy) == (State.UPDATING, frozenset({"id-web-a"}))
    assert "web-a says busy: busy: 3 of 9 partitions" in found.why
