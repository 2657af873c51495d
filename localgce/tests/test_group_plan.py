"""Managed instance groups: the decisions, and simulated rollouts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localgce.groups.plan import (
    LEAVING,
    Action,
    Group,
    Member,
    Policy,
    Step,
    Version,
    absolute,
    is_reached,
    is_stable,
    next_steps,
)

OLD, NEW = Version("", "old"), Version("", "new")
STARTING = {Action.CREATING, Action.RECREATING, Action.RESTARTING}


def running(number: int, version: Version = OLD) -> list[Member]:
    """Members that run."""
    return [Member(f"m{i}", version, Action.NONE, ready=True) for i in range(number)]


def test_a_new_group_creates_all_instances_at_once() -> None:
    steps = next_steps(Group(3, [(NEW, 3)], []))
    assert steps == [Step(Action.CREATING, None, NEW)] * 3


def test_an_opportunistic_group_does_not_replace_old_instances() -> None:
    group = Group(3, [(NEW, 3)], running(3))
    assert next_steps(group) == []
    assert is_stable(group)
    assert not is_reached(group)
    assert next_steps(replace(group, size=4, targets=[(NEW, 4)])) == [
        Step(Action.CREATING, None, NEW)
    ]


def test_a_surge_of_one_creates_before_it_deletes() -> None:
    policy = Policy(proactive=True, surge=1, unavailable=0)
    group = Group(3, [(NEW, 3)], running(3), policy)
    assert next_steps(group) == [Step(Action.CREATING, None, NEW)]
    young = Member("young", NEW, Action.CREATING)
    group = replace(group, members=[*running(3), young])
    assert next_steps(group) == []
    grown = replace(young, action=Action.NONE, ready=True)
    steps = next_steps(replace(group, members=[*running(3), grown]))
    assert [(s.action, s.version) for s in steps] == [(Action.DELETING, OLD)]


def test_recreate_keeps_names_and_respects_max_unavailable() -> None:
    policy = Policy(proactive=True, recreate=True, surge=0, unavailable=2)
    steps = next_steps(Group(5, [(NEW, 5)], running(5), policy))
    assert len(steps) == 2
    assert all(s.action is Action.RECREATING and s.member and s.version == NEW for s in steps)


@pytest.mark.parametrize(
    ("needed", "minimal", "allowed", "expected"),
    [
        ("REFRESH", "NONE", "REPLACE", Action.REFRESHING),
        ("RESTART", "NONE", "REPLACE", Action.RESTARTING),
        ("NONE", "RESTART", "REPLACE", Action.RESTARTING),
        ("REFRESH", "REPLACE", "REPLACE", Action.DELETING),
        ("REPLACE", "NONE", "RESTART", None),
    ],
)
def test_the_least_disruptive_action_is_chosen(
    needed: str, minimal: str, allowed: str, expected: Action | None
) -> None:
    policy = Policy(True, surge=0, unavailable=1, minimal=minimal, allowed=allowed)
    group = Group(2, [(NEW, 2)], running(2), policy, lambda _, __: needed)
    found = {step.action for step in next_steps(group)}
    assert found == ({expected} if expected else set())


def test_a_failed_instance_is_recreated_unless_repair_is_disabled() -> None:
    failed = Member("m0", OLD, Action.NONE, failed=True)
    group = Group(1, [(OLD, 1)], [failed])
    assert next_steps(group) == [Step(Action.RECREATING, "m0", OLD)]
    assert not is_stable(group)
    quiet = replace(group, policy=Policy(repair=False))
    assert next_steps(quiet) == []
    assert is_stable(quiet)


def test_who_is_on_standby_is_left_alone_and_not_counted() -> None:
    asleep = Member("asleep", OLD, Action.NONE, standby=True)
    policy = Policy(proactive=True, surge=1, unavailable=0)
    group = Group(2, [(OLD, 2)], [*running(2), asleep], policy)
    assert next_steps(group) == []
    assert is_stable(group)
    rolling = replace(group, targets=[(NEW, 2)])
    assert next_steps(rolling) == [Step(Action.CREATING, None, NEW)]
    assert not is_stable(
        replace(group, members=[*running(2), replace(asleep, action=Action.STOPPING)])
    )


def test_percentages_are_rounded() -> None:
    assert absolute({"percent": 80}, 150) == 120
    assert absolute({"percent": 50}, 3) == 2
    assert absolute({"fixed": 7}, 3) == 7
    assert absolute(None, 3) == 0


POLICIES = st.builds(
    Policy,
    proactive=st.just(True),
    recreate=st.booleans(),
    surge=st.integers(0, 4),
    unavailable=st.integers(0, 4),
).filter(lambda p: p.unavailable > 0 if p.recreate else p.surge + p.unavailable > 0)


@settings(max_examples=300, deadline=None)
@given(
    policy=POLICIES,
    before=st.integers(0, 8),
    after=st.integers(0, 8),
    canary=st.integers(0, 3),
    order=st.randoms(use_true_random=False),
)
def test_every_rollout_ends_within_its_bounds(
    policy: Policy, before: int, after: int, canary: int, order: object
) -> None:
    canary = min(canary, after)
    targets = [(Version("canary", "new"), canary), (NEW, after - canary)]
    if policy.recreate:
        policy = replace(policy, surge=0)
    members = running(before)
    least = min(before, max(0, after - policy.unavailable))
    most = max(before, after + policy.surge)
    for number in range(400):
        group = Group(after, targets, members, policy)
        if is_stable(group):
            break
        members = _begun(members, next_steps(group), number)
        members = _ended(members, order)
        assert sum(m.ready for m in members) >= least
        assert len(members) <= most
    else:
        raise AssertionError("the rollout did not end")
    assert is_reached(Group(after, targets, members, policy))
    assert len(members) == after
    assert sum(m.version.name == "canary" for m in members) == canary


def _begun(members: list[Member], steps: list[Step], number: int) -> list[Member]:
    by_name = {m.name: m for m in members}
    for index, step in enumerate(steps):
        name = step.member or f"n{number}-{index}"
        old = by_name.get(name)
        version = old.version if old and step.action in LEAVING else step.version
        by_name[name] = Member(name, version, step.action, born=number)
    return list(by_name.values())


def _ended(members: list[Member], order: object) -> list[Member]:
    """One of those being worked on comes to its end."""
    busy = [m for m in members if m.action is not Action.NONE]
    if not busy:
        return members
    done = order.choice(busy)  # type: ignore[attr-defined]
    rest = [m for m in members if m is not done]
    if done.action in LEAVING:
        return rest
    return [*rest, replace(done, action=Action.NONE, ready=True)]
