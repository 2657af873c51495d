"""The strategy mig: give a managed instance group a template with the new image.

Pure: what is handed to the walk of a group, what it reads out of Compute Engine's answers, and the
bodies of its calls. The group replaces its instances itself, within maxSurge and maxUnavailable,
and keeps what its stateful policy and its per-instance configs name. A rollout sets its versions,
waits until it is stable on them, and asks the instances how they are.

The way back is to set the versions that the group had. Where those name an image by its family,
which may be the new image by then, the way back is a copy of that template with the image that the
instances run, made before anything changes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from bakehouse.history.rollout_events import MemberOutcome
from bakehouse.images.links import Resource, path_of, resource_name
from bakehouse.rollout.health import Health, HealthAssessment, assess_health, explain
from bakehouse.rollout.mig_plan import (
    PROACTIVE,
    GroupPlan,
    NewTemplate,
    Version,
    absolute,
    policy_of,
    same,
    versions_of,
)
from bakehouse.rollout.plan import RolloutPlan, Target
from bakehouse.rollout.states import State
from bakehouse.rollout.stored import Stored

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

KEY = "bakehouse"
"""The key of a template's description below which its labels stand."""
LEAVING = frozenset({"DELETING", "ABANDONING"})
GUEST_ATTRIBUTES = "enable-guest-attributes"
SHOWN = 3  # instances that a reason names

TEXTS: dict[State, str] = {
    State.PENDING: "its next template does not exist yet",
    State.PREPARED: "its next template is ready, the group has its present versions",
    State.UPDATING: "the group replaces its instances",
    State.REPLACED: "the group is stable on its next versions, and its instances are healthy",
    State.UNHEALTHY: "instances of its next versions are not healthy",
    State.LOST: "the group cannot be moved any more",
}
"""The second half of a sentence about a group."""


class GroupMove(Stored):
    """The move of a group to the versions of a stage, or back to those it had."""

    member: str = Field(description="the group")
    zone: str
    id: str
    fleet: str
    run: str
    way: Literal["forward", "back"]
    image: Target
    stage: int = 0
    templates: tuple[NewTemplate, ...] = Field(default=(), description="to be made before")
    versions: tuple[Version, ...]
    goal: tuple[str, ...] = Field(description="the templates of the instances that must be good")
    known: tuple[tuple[Version, ...], ...] = Field(description="what it may have before")
    base: Version | None = Field(
        default=None, description="of the instances not moved yet; None: all move at once"
    )
    policy: dict[str, Any] = Field(description="the update policy to set")
    speaks: bool = Field(description="its instances report the image's health")
    unstable: str = ""
    old_image: str = ""
    old_image_id: str = ""

    @property
    def template(self) -> str:
        """The name of the template that it moves to."""
        return resource_name(self.goal[0])

    def body(self, versions: Collection[Version]) -> dict[str, Any]:
        """Return the body of instanceGroupManagers.patch."""
        return {
            "versions": [version.body() for version in versions],
            "updatePolicy": self.policy,
        }

    def wave_of(self, versions: Collection[Version], size: int) -> int | None:
        """Return how many instances of the goal these versions name; None if they are of others."""
        new = [v for v in versions if v.template in self.goal]
        others = [v for v in versions if v.template not in self.goal]
        if self.base is None or len(new) != 1 or not same(others, [self.base]):
            return None
        target = new[0].target
        return size if target is None else absolute(target, size)

    def after(self, wave: int, size: int) -> tuple[Version, ...]:
        """Return the versions to set when so many instances are good.

        No more instances are taken at once than may be unavailable: the group takes one for
        available as soon as it runs, this rollout only when it has said that it is healthy.
        """
        whole = self.versions[0].target
        total = size if whole is None else absolute(whole, size)
        surge, down = (self.policy.get(key) or {} for key in ("maxSurge", "maxUnavailable"))
        following = wave + max(1, absolute(surge, size) + absolute(down, size))
        if self.base is None or following >= total:
            return self.versions
        new = self.versions[0].model_copy(update={"target": {"fixed": following}})
        return (new, self.base)


@dataclass(frozen=True)
class Managed:
    """One instance of a group."""

    name: str
    id: str
    template: str
    action: str
    status: str
    error: str = ""  # of the last attempt to make or delete it
    unwell: str = ""  # what the health check of the group says of it, unless HEALTHY

    @property
    def is_quiet(self) -> bool:
        """Whether it runs, and the group does nothing to it."""
        return self.action == "NONE" and self.status == "RUNNING" and not self.unwell

    @property
    def doing(self) -> str:
        """What keeps it from being quiet."""
        if self.error:
            return f"{self.action}: {self.error}"
        if self.unwell:
            return f"{self.unwell} by its health check"
        return self.action if self.action != "NONE" else self.status or "it does not exist"


@dataclass(frozen=True)
class GroupObservation:
    """The observed group; `group` is None if it does not exist."""

    group: Resource | None
    instances: tuple[Managed, ...] = ()
    templates: frozenset[str] = frozenset()  # those of `GroupMove.templates` that exist
    reports: Mapping[str, Health | None] = field(default_factory=dict)  # by id

    def of(self, templates: Collection[str]) -> list[Managed]:
        """The instances that have one of these templates, and do not leave."""
        return [m for m in self.instances if m.template in templates and m.action not in LEAVING]


@dataclass(frozen=True)
class Progress:
    """What is known of a move after a look."""

    state: State
    good: tuple[Managed, ...] = ()
    wanted: int = 0
    silent: tuple[Managed, ...] = ()  # run, and have not reported the image yet
    busy: frozenset[str] = frozenset()  # ids of those silent ones that count to something
    ill: Mapping[str, str] = field(default_factory=dict)  # by name: what they have reported
    why: str = ""
    due: tuple[Version, ...] = ()  # the versions to set now


def forward(plan: RolloutPlan, group: GroupPlan, stage: int) -> GroupMove:
    """Return the move of a group at a stage, counted from 1."""
    before = group.versions_at(stage - 1) if stage > 1 else group.versions
    return GroupMove(
        member=group.name,
        zone=group.zone,
        id=group.id,
        fleet=plan.fleet,
        run=plan.run,
        way="forward",
        image=plan.image,
        stage=stage,
        templates=group.templates,
        versions=group.versions_at(stage),
        goal=(group.goal,),
        # a stage without a move leaves what the one before it has set
        known=(group.versions, before, *map(group.versions_at, range(1, stage))),
        base=group.base.model_copy(update={"target": None}) if group.speaks else None,
        policy=group.rolling,
        speaks=group.speaks,
        unstable=group.unstable,
        old_image=group.old_image,
        old_image_id=group.old_image_id,
    )


def back(plan: RolloutPlan, group: GroupPlan) -> GroupMove:
    """Return the way back of a group: the versions that it had when the plan was made."""
    every = map(group.versions_at, range(1, len(group.stages) + 1))
    return GroupMove(
        member=group.name,
        zone=group.zone,
        id=group.id,
        fleet=plan.fleet,
        run=plan.run,
        way="back",
        image=Target(
            id=group.old_image_id,
            name=resource_name(group.old_image),
            self_link=group.old_image,
            recipe=plan.image.recipe,
        ),
        versions=way_back(group),
        goal=tuple(version.template for version in way_back(group)),
        known=(group.versions, *every),
        policy=group.rolling,
        speaks=group.reported and len(group.versions) == 1,
        unstable="it goes back",
        old_image=plan.image.self_link,
        old_image_id=plan.image.id,
    )


def way_back(group: GroupPlan) -> tuple[Version, ...]:
    """Return the versions to go back to; a template by family is replaced by its pinned copy."""
    pinned = {t.base: f"{group.goal.rsplit('/', 1)[0]}/{t.name}" for t in group.templates[1:]}
    return tuple(
        v.model_copy(update={"template": pinned.get(v.template, v.template)})
        for v in group.versions
    )


def moving(move: GroupMove) -> str:
    """Say what is about to happen to a group."""
    if move.way == "back":
        return f"the group {move.member} goes back to {told(move.versions)}"
    return f"the group {move.member} moves to {move.image.name}: {told(move.versions)}"


def told(versions: Collection[Version]) -> str:
    """Return versions as text: `web-a1 for 50%, web-a0 for the others`."""

    def each(version: Version) -> str:
        target = version.target or {}
        number = f"{target['percent']}%" if "percent" in target else str(target.get("fixed", ""))
        others = "all instances" if len(versions) == 1 else "the others"
        return f"{resource_name(version.template)} for {number or others}"

    return ", ".join(map(each, versions))


def outcome_of(move: GroupMove, state: str, why: str) -> MemberOutcome:
    """Return how a move ended."""
    return MemberOutcome(
        member=move.member,
        way=move.way,
        state=state,
        why=why,
        image=move.image.name,
        disk=move.template,
    )


def managed(shown: Resource) -> Managed:
    """Return an instance as listManagedInstances shows it."""
    attempt = ((shown.get("lastAttempt") or {}).get("errors") or {}).get("errors") or []
    health = [str(h.get("detailedHealthState", "")) for h in shown.get("instanceHealth") or []]
    return Managed(
        name=resource_name(shown.get("instance") or shown.get("name", "")),
        id=str(shown.get("id", "")),
        template=path_of((shown.get("version") or {}).get("instanceTemplate", "")),
        action=str(shown.get("currentAction", "NONE")),
        status=str(shown.get("instanceStatus", "")),
        error="; ".join(f"{e.get('code', '')}: {e.get('message', '')}" for e in attempt[:1]),
        unwell=next((state for state in health if state not in {"HEALTHY", ""}), ""),
    )


def progress(observed: GroupObservation, move: GroupMove) -> Progress:
    """Return how far a move has come."""
    group = observed.group
    if group is None or str(group["id"]) != move.id:
        return Progress(State.LOST, why="the group was deleted, or made anew")
    versions = versions_of(group)
    size = int(group.get("targetSize", 0))
    is_whole, wave = same(versions, move.versions), move.wave_of(versions, size)
    if not is_whole and wave is None:
        return _before(observed, move, versions)
    wanted = wanted_of(group, move.goal)
    there = observed.of(move.goal)
    silent, ill, good, busy = [], {}, [], set()
    for one in there:
        verdict = _assess(one, observed.reports.get(one.id), move)
        if verdict is HealthAssessment.HEALTHY:
            good.append(one)
        elif verdict is HealthAssessment.UNHEALTHY:
            ill[one.name] = explain(observed.reports.get(one.id), move.image.name, None)
        elif one.is_quiet:
            silent.append(one)
            busy |= {one.id} if verdict is HealthAssessment.BUSY else set()
    state = State.UPDATING
    if ill:
        state = State.UNHEALTHY
    elif len(good) >= wanted and len(good) == len(there) and _is_settled(observed, move):
        state = State.REPLACED
    found = Progress(state, tuple(good), wanted, tuple(silent), frozenset(busy), ill)
    found = replace(found, why=_why(observed, move, found))
    if state is State.REPLACED and not is_whole:
        due = move.after(wave or 0, size)
        return replace(found, state=State.UPDATING, due=due)
    return found


def wanted_of(group: Resource, templates: Collection[str]) -> int:
    """Return how many instances of these templates the group is to have, as it says itself."""
    size = left = int(group.get("targetSize", 0))
    counted: dict[str, int] = {}
    others = ""
    for version in group.get("versions") or []:
        template, target = path_of(version["instanceTemplate"]), version.get("targetSize")
        if target is None:
            others = template
            continue
        number = min(int(target.get("calculated", target.get("fixed", 0))), left, size)
        counted[template] = counted.get(template, 0) + number
        left -= number
    counted[others] = counted.get(others, 0) + left
    return sum(number for template, number in counted.items() if template in templates)


def is_rolling(group: Resource, move: GroupMove) -> bool:
    """Whether the group updates its instances by itself now."""
    return bool(policy_of(group).get("type") == move.policy.get("type", PROACTIVE))


def has_begun(group: Resource, move: GroupMove) -> bool:
    """Whether the group has versions of a rollout: those of a goal, or others than it had."""
    versions = versions_of(group)
    if move.way == "forward":
        return any(version.template in move.goal for version in versions)
    return any(same(versions, known) for known in move.known)


def _before(observed: GroupObservation, move: GroupMove, versions: tuple[Version, ...]) -> Progress:
    if not any(same(versions, known) for known in move.known):
        return Progress(State.LOST, why=f"somebody else gave the group {told(versions)}")
    if {template.name for template in move.templates} <= observed.templates:
        size = int((observed.group or {}).get("targetSize", 0))
        return Progress(State.PREPARED, due=move.after(0, size))
    return Progress(State.PENDING)


def _assess(one: Managed, report: Health | None, move: GroupMove) -> HealthAssessment:
    """Assess an instance; one that is not quiet is silent."""
    if not one.is_quiet:
        return HealthAssessment.SILENT
    if not move.speaks:
        return HealthAssessment.HEALTHY
    return assess_health(report, move.image.name, None)


def _is_settled(observed: GroupObservation, move: GroupMove) -> bool:
    """Whether the group is stable, and each instance has its version.

    A group that was not stable before, since instances of its old template are ill, does not get
    so at a canary: then the instances of the new one must be quiet, which they are.
    """
    status = (observed.group or {}).get("status") or {}
    reached = (status.get("versionTarget") or {}).get("isReached", False)
    if status.get("isStable") and reached:
        return True
    others = [m for m in observed.instances if m.template not in move.goal]
    unquiet = [m for m in others if not m.is_quiet]
    return bool(move.unstable and unquiet and all(m.action not in LEAVING for m in unquiet))


def _why(observed: GroupObservation, move: GroupMove, found: Progress) -> str:
    """Say how far the group is, and what keeps it from being stable."""
    text = f"{len(found.good)} of {found.wanted} instances run {move.image.name or move.template}"
    if found.state is State.REPLACED:
        return text
    told = [f"{name} says {said}" for name, said in found.ill.items()]
    for one in found.silent:
        said = explain(observed.reports.get(one.id), move.image.name, None)
        is_busy = one.id in found.busy
        told.append(f"{one.name} says {said}" if is_busy else f"{one.name} has not reported yet")
    there = {one.name for one in (*found.good, *found.silent)} | found.ill.keys()
    for one in observed.instances:
        if one.name not in there and not one.is_quiet:
            old = "" if one.template in move.goal else " (of another template)"
            told.append(f"{one.name}{old} is {one.doing}")
    group = observed.group or {}
    if not told and not is_rolling(group, move):
        told.append("its updates are stopped (updatePolicy.type is OPPORTUNISTIC)")
    elif not told:
        status = group.get("status") or {}
        told.append("the group is stable" if status.get("isStable") else "it is not stable yet")
    more = len(told) - SHOWN
    return f"{text}; {'; '.join(told[:SHOWN])}" + (f" and {more} more" if more > 0 else "")


def copied(base: Resource, new: NewTemplate) -> dict[str, Any]:
    """Return the body of instanceTemplates.insert: `base` with another image."""
    properties = json.loads(json.dumps(dict(base["properties"])))
    boot = boot_of(properties)
    assert boot is not None  # the plan has refused a template without one
    params = {
        key: value
        for key, value in (boot.get("initializeParams") or {}).items()
        if not key.startswith("source")
    }
    size = int(params.get("diskSizeGb") or boot.get("diskSizeGb") or 0)
    if size:
        params["diskSizeGb"] = str(max(size, new.disk_gb))
        boot.pop("diskSizeGb", None)
    boot["initializeParams"] = {**params, "sourceImage": new.image}
    return {"name": new.name, "description": new.description, "properties": properties}


def boot_of(properties: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the boot disk of a template's properties."""
    return next((disk for disk in properties.get("disks") or [] if disk.get("boot")), None)


def describe(told: Mapping[str, Any]) -> str:
    """Return the description of a template: the labels that it cannot have, as JSON."""
    return json.dumps({KEY: dict(told)}, separators=(",", ":"))


def described(template: Resource) -> dict[str, Any]:
    """Return what the description of one of our templates says; empty for one of others."""
    try:
        found = json.loads(str(template.get("description", "")))[KEY]
    except (ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def is_of_run(template: Resource, run: str) -> bool:
    """Whether this run has made the template."""
    return described(template).get("run") == run
