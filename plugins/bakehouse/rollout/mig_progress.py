"""How far a managed instance group has come in a move, and whether it is stuck. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bakehouse.images.links import Resource, path_of, resource_name, zone_in
from bakehouse.rollout.health import Health, HealthAssessment, assess_health, explain
from bakehouse.rollout.mig_plan import (
    PROACTIVE,
    Version,
    policy_of,
    same,
    versions_of,
)
from bakehouse.rollout.states import State
from bakehouse.rollout.strategies.mig import told

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bakehouse.rollout.strategies.mig import GroupMove

LEAVING = frozenset({"DELETING", "ABANDONING"})
SHOWN = 3  # instances that a reason names


@dataclass(frozen=True)
class Managed:
    """One instance of a group."""

    name: str
    id: str
    template: str
    action: str
    status: str
    error: str = ""  # of the last attempt to make or delete it
    zone: str = ""  # of a regional group's
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
        zone=zone_in(shown.get("instance")),
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
