"""Decides what a managed instance group does next; uses neither the store nor the clock."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Action(StrEnum):
    """The `currentAction` of a managed instance."""

    NONE = "NONE"
    CREATING = "CREATING"
    RECREATING = "RECREATING"
    RESTARTING = "RESTARTING"
    REFRESHING = "REFRESHING"
    VERIFYING = "VERIFYING"  # it runs, and `minReadySec` has not passed
    DELETING = "DELETING"
    ABANDONING = "ABANDONING"
    SUSPENDING = "SUSPENDING"
    RESUMING = "RESUMING"
    STOPPING = "STOPPING"
    STARTING = "STARTING"


LEAVING = {Action.DELETING, Action.ABANDONING}
STANDBY = {Action.STOPPING, Action.SUSPENDING, Action.STARTING, Action.RESUMING}
_RANKS = ("NONE", "REFRESH", "RESTART", "REPLACE")
_IN_PLACE = {
    "NONE": Action.REFRESHING,
    "REFRESH": Action.REFRESHING,
    "RESTART": Action.RESTARTING,
    "REPLACE": Action.RECREATING,
}


@dataclass(frozen=True)
class Version:
    """A template under a name; the same template under another name is another version."""

    name: str
    template: str


@dataclass(frozen=True)
class Member:
    """One managed instance."""

    name: str
    version: Version
    action: Action
    ready: bool = False  # it runs, and `minReadySec` has passed
    failed: bool = False  # it does not run, and no action is in progress
    missing: bool = False  # its instance does not exist yet
    standby: bool = False  # the group has stopped or suspended it; its size does not count it
    born: float = 0.0
    zone: str = ""


@dataclass(frozen=True)
class Policy:
    """How the group may be updated; `surge` and `unavailable` as numbers of instances."""

    proactive: bool = False
    recreate: bool = False
    surge: int = 1
    unavailable: int = 1
    minimal: str = "REPLACE"
    allowed: str = "REPLACE"
    repair: bool = True


@dataclass(frozen=True)
class Step:
    """An action to begin on a member, or on a new one (`member` is None)."""

    action: Action
    member: str | None
    version: Version


Needs = Callable[[Version, Version], str]  # the action that updates from one to the other


@dataclass(frozen=True)
class Group:
    """All facts about a group; `targets` are the versions with their target sizes."""

    size: int
    targets: Sequence[tuple[Version, int]]
    members: Sequence[Member]
    policy: Policy = field(default_factory=Policy)
    needs: Needs = lambda _, __: "REPLACE"

    @property
    def counted(self) -> list[Member]:
        """The members that the size counts, and those that are being removed."""
        return [m for m in self.members if not m.standby]

    @property
    def alive(self) -> list[Member]:
        """The members that the size counts."""
        return [m for m in self.counted if m.action not in LEAVING]

    def outdated(self) -> list[Member]:
        """Members of no current version, or beyond its target size; the newest first."""
        left = Counter(dict(self.targets))
        found = []
        for member in sorted(self.alive, key=lambda m: (not m.ready, m.born)):
            if left[member.version] > 0:
                left[member.version] -= 1
            else:
                found.append(member)
        return found[::-1]

    def most_lacking(self) -> Version:
        """The version that lacks the most members."""
        gone = {m.name for m in self.outdated()}
        there = [m.version for m in self.alive if m.name not in gone]
        return max(self.targets, key=lambda target: target[1] - there.count(target[0]))[0]


def absolute(given: dict[str, int] | None, size: int) -> int:
    """A FixedOrPercent as a number of instances, rounded as the API says."""
    given = given or {}
    if "percent" in given:
        return math.floor(given["percent"] * size / 100 + 0.5)
    return given.get("fixed", 0)


def action_for(minimal: str, needed: str, allowed: str) -> Action | None:
    """The least disruptive sufficient action; None when it is not allowed."""
    rank = max(_RANKS.index(minimal), _RANKS.index(needed))
    return None if rank > _RANKS.index(allowed) else _IN_PLACE[_RANKS[rank]]


def next_steps(group: Group) -> list[Step]:
    """The actions that can begin now."""
    outdated = group.outdated()
    lacking = _Lacking(group, outdated)
    steps = [
        Step(Action.CREATING, m.name, lacking.take())
        for m in outdated
        if m.missing and m.action is Action.CREATING
    ]
    busy = {step.member for step in steps}
    outdated = [m for m in outdated if m.name not in busy]
    if group.policy.proactive and outdated:
        steps += _update(group, outdated, lacking)
    else:
        steps += _resize(group, outdated, lacking)
    busy = {step.member for step in steps}
    return steps + [
        Step(Action.RECREATING, m.name, m.version)
        for m in group.alive
        if m.failed and m.name not in busy and group.policy.repair
    ]


class _Lacking:
    """The versions below their target size, one member at a time."""

    def __init__(self, group: Group, outdated: Iterable[Member]) -> None:
        gone = {member.name for member in outdated}
        there = Counter(m.version for m in group.alive if m.name not in gone)
        self._left = {version: number - there[version] for version, number in group.targets}

    def take(self) -> Version:
        """The version that lacks the most members; counts one for it."""
        version = max(self._left, key=lambda v: self._left[v])
        self._left[version] -= 1
        return version


def _resize(group: Group, outdated: list[Member], lacking: _Lacking) -> list[Step]:
    alive = group.alive
    more = group.size - len(alive)
    if more >= 0:
        if group.policy.proactive:  # members that an update is deleting count for its surge
            more = min(more, group.size + group.policy.surge - len(group.counted))
        return [Step(Action.CREATING, None, lacking.take()) for _ in range(more)]
    old = {m.name for m in outdated}
    left, gone = Counter(m.zone for m in alive), []
    for _ in range(-more):  # a regional group keeps its zones even
        rest = [m for m in alive if m not in gone]
        gone += [min(rest, key=lambda m: (m.name not in old, m.ready, -left[m.zone], -m.born))]
        left[gone[-1].zone] -= 1
    return [Step(Action.DELETING, m.name, m.version) for m in gone]


def _update(group: Group, outdated: list[Member], lacking: _Lacking) -> list[Step]:
    policy, alive = group.policy, group.alive
    if policy.recreate and len(alive) != group.size:
        return _resize(group, outdated, lacking)
    spare = sum(m.ready for m in alive) - max(0, group.size - policy.unavailable)
    wanted = [version for version, _ in group.targets]
    steps: list[Step] = []
    replaced = 0
    for member in sorted(outdated, key=lambda m: m.ready):
        needed = min((group.needs(member.version, v) for v in wanted), key=_RANKS.index)
        action = action_for(policy.minimal, needed, policy.allowed)
        if action is None:
            continue
        replaced += action is Action.RECREATING
        costs = member.ready and action is not Action.REFRESHING
        if costs and spare <= 0:
            continue
        spare -= costs
        if action is Action.RECREATING and not policy.recreate:
            steps.append(Step(Action.DELETING, member.name, member.version))
        else:
            steps.append(Step(action, member.name, lacking.take()))
    if not policy.recreate:
        room = group.size + policy.surge - len(group.counted)
        more = min(group.size - len(alive) + replaced, room)
        steps += [Step(Action.CREATING, None, lacking.take()) for _ in range(more)]
    return steps


def is_reached(group: Group) -> bool:
    """Whether every instance has its target version."""
    changing = {Action.CREATING, Action.RECREATING, Action.DELETING, Action.RESTARTING}
    return not group.outdated() and not any(m.action in changing for m in group.members)


def is_stable(group: Group) -> bool:
    """Whether no action is in progress or due."""
    repaired = group.policy.repair
    quiet = all(m.action is Action.NONE and not (m.failed and repaired) for m in group.members)
    return quiet and len(group.counted) == group.size and not next_steps(group)
