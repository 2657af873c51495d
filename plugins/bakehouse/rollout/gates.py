"""Conditions that must hold before a member is changed. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bakehouse.rollout.orders import BLOCKED
from bakehouse.rollout.plan import ill_before
from bakehouse.rollout.plan_parts import Blocker

if TYPE_CHECKING:
    from bakehouse.rollout.orders import Answer
    from bakehouse.rollout.plan import Reported, RolloutPlan

FRESH = timedelta(seconds=60)
"""How old a member's answer may be when it is stopped, by the clock of who has asked."""
SHOWN = 200  # characters of what a check outside says
SAMPLE = 12  # reports of members that were healthy, read before each stop
Resource = Mapping[str, Any]


@dataclass(frozen=True)
class Gate:
    """Whether a condition holds, and the reason if not."""

    open: bool
    why: str = ""
    by: tuple[str, ...] = ()
    """The members that close it, where it is members."""


def others_are_up(
    member: str,
    siblings: Iterable[str],
    instances: Mapping[str, Resource],
    at_most: int,
    ill: Mapping[str, str] = MappingProxyType({}),
    ahead: Collection[str] = (),
) -> Gate:
    """Require that fewer than `at_most` other members are down, unless this one is down itself.

    Airflow counts the tasks that run, not the members that are down: one whose task waits for its
    next try in the middle of a swap would be forgotten. A member that runs and is ill is down
    too. One that is ill itself serves nobody, so that its replacement takes nothing away: else no
    fix could ever reach a fleet with many ill members.

    Args:
        member: whose turn it is.
        siblings: the members that count, this one or not.
        instances: those of them that exist.
        at_most: the fleet's `max_unavailable`.
        ill: the members that run and are ill, with the reason.
        ahead: the members of its stage whose turn is before its own and has not ended. Each may be
            stopped at any moment, so that two that ask at the same time do not both go on.
    """
    if member in ill:
        return its_turn(ahead, at_most)
    down = tuple(
        name
        for name in sorted({*siblings, *ahead})
        if name != member
        and (name in ill or name in ahead or instances.get(name, {}).get("status") != "RUNNING")
    )
    if len(down) < at_most:
        return Gate(open=True)
    names = ", ".join(f"{name} ({ill[name]})" if name in ill else name for name in down)
    return Gate(open=False, why=f"already down: {names} (max_unavailable {at_most})", by=down)


def down_of(members: Iterable[str], instances: Mapping[str, Resource]) -> frozenset[str]:
    """Return those members that do not run; `instances` are those of them that exist."""
    return frozenset(name for name in members if instances.get(name, {}).get("status") != "RUNNING")


def may_go_together(
    member: str, beside: Collection[str], batches: Collection[Collection[str]]
) -> Gate:
    """Require that a set which the member's gate has named has it and all who are down beside it.

    A gate that names no set says nothing of others: then `max_unavailable` alone decides.
    """
    group = {member, *beside}
    if not beside or not batches or any(group <= set(batch) for batch in batches):
        return Gate(open=True)
    allowed = max((set(batch) for batch in batches if member in batch), key=len, default={member})
    rest = ", ".join(sorted(allowed - {member}))
    return Gate(
        open=False,
        why=f"gate: not together with {', '.join(sorted(beside))}"
        f" ({f'together with {rest}' if rest else 'alone'})",
    )


def its_turn(ahead: Collection[str], at_most: int) -> Gate:
    """Require that few members of the stage are before this one."""
    if len(ahead) < at_most:
        return Gate(open=True)
    return Gate(open=False, why=f"{', '.join(sorted(ahead))} come first")


def reports_to_read(
    member: str, reported: Sequence[Reported]
) -> tuple[list[Reported], list[Reported]]:
    """Return the reports to read before a member is stopped, and those to read if one is bad news.

    Nothing lists the reports of a fleet, so that a thousand members that each read all others would
    ask a million times. Those that were ill are read, and the next few behind the member: of one
    that falls ill some other member hears soon, and then looks at all.
    """
    ill = [report for report in reported if report.ill]
    others = [report for report in reported if not report.ill and report.name != member]
    names = [report.name for report in reported]
    here = names.index(member) if member in names else 0
    behind = sum(1 for report in reported[:here] if not report.ill)
    ring = [*others[behind:], *others[:behind]]
    return [*ill, *ring[:SAMPLE]], ring[SAMPLE:]


def nobody_failed(states: Mapping[str, str | None]) -> Gate:
    """Require that no other member of the stage has failed (`states`: by task)."""
    failed = sorted(task for task, state in states.items() if state == "failed")
    return Gate(open=not failed, why=f"failed before: {', '.join(failed)}" if failed else "")


@dataclass(frozen=True)
class GuestFacts:
    """What is known of a member's own gate."""

    has_gate: bool  # its image can answer, and its recipe has a script
    answer: Answer | None = None  # to this very order: another nonce is no answer
    age: timedelta = timedelta(0)  # since the order was given
    ill: str = ""  # why the member is ill, or silent; empty: it is well
    member: str = ""  # its name
    beside: frozenset[str] = frozenset()  # who else is down, or may be stopped at any moment


def guest_agrees(facts: GuestFacts, *, required: bool = False) -> Gate:
    """Require a fresh answer of the member itself that it may be stopped.

    A member that is ill and does not answer serves nobody and cannot be asked: its replacement
    takes nothing away, and may be what mends it. One that is well must answer.

    Args:
        facts: what is known.
        required: a member without a gate is not stopped.
    """
    answer = facts.answer
    if answer is not None and facts.age <= FRESH:
        if answer.is_ok and not (required and answer.state == "none"):
            together = may_go_together(facts.member, facts.beside, answer.batches)
            return together if not together.open else Gate(open=True, why=answer.line)
        what = "gate" if answer.state == BLOCKED else f"gate has not answered ({answer.state})"
        return Gate(open=False, why=f"{what}: {answer.line or 'it says no more'}")
    if not facts.has_gate:
        why = "its image has no gate, which the fleet requires" if required else ""
        return Gate(open=not required or bool(facts.ill), why=why)
    if facts.ill:
        return Gate(open=True, why=f"it cannot be asked, and is down anyway: {facts.ill}")
    stale = f"its answer is {round(facts.age.total_seconds())} s old" if answer else "no answer"
    return Gate(open=False, why=f"gate: {stale}")


def http_agrees(status: int | None, said: str, expected: int | None) -> Gate:
    """Require the status of a request; `status` is None if there was no answer, for `said`."""
    short = " ".join(said.split())[:SHOWN]
    if status is None:
        return Gate(open=False, why=f"http: {short}")
    is_good = status == expected if expected is not None else 200 <= status < 300
    wanted = f" instead of {expected}" if expected is not None else ""
    text = f"http: status {status}{wanted}" + (f", {short}" if short else "")
    return Gate(open=is_good, why="" if is_good else text)


def prometheus_agrees(said: Any, expect: str) -> Gate:
    """Require that a query has a result, or that it has none.

    Args:
        said: the JSON of /api/v1/query, or a text that says why there is none.
        expect: result or no_result.
    """
    if not isinstance(said, dict) or said.get("status") != "success":
        text = said.get("error") if isinstance(said, dict) else said
        return Gate(open=False, why=f"prometheus: {' '.join(str(text).split())[:SHOWN]}")
    data = said.get("data") or {}
    result = data.get("result") or []
    if data.get("resultType") == "scalar":
        return Gate(open=False, why="prometheus: the query is a number; compare it: … == 0")
    if bool(result) is (expect == "result"):
        return Gate(open=True)
    if not result:
        return Gate(open=False, why="prometheus: the query has no result")
    first = result[0]
    labels = ", ".join(f"{k}={v}" for k, v in sorted((first.get("metric") or {}).items()))
    value = (first.get("value") or [None, "?"])[1]
    more = f" and {len(result) - 1} more" if len(result) > 1 else ""
    shown = f"prometheus: {{{labels}}} {value}{more}"
    return Gate(open=False, why=shown[:SHOWN])


def down_for_long(made: RolloutPlan) -> Blocker | None:
    """Return what healthy members would wait for if the rollout began now.

    Members that are down and that the rollout does not replace stay so. Those that it replaces come
    first, and count no more when the healthy ones have their turn.
    """
    at_most = made.rules.max_unavailable if made.rules is not None else 1
    moved = {change.name for change in made.changes}
    stay = {r.name: r.ill for r in made.reported if r.ill and r.name not in moved}
    ill = ill_before(made.reported)
    waiting = tuple(change.name for change in made.changes if change.name not in ill)
    if len(stay) < at_most or not waiting:
        return None
    names = ", ".join(f"{name} ({why})" for name, why in sorted(stay.items()))
    why = (
        f"already down: {names}; max_unavailable is {at_most}. Bring them up, or give them the"
        " label bakehouse-hold, so that they do not count"
    )
    return Blocker(what="max_unavailable", why=why, members=waiting)
