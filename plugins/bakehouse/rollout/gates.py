"""Conditions that must hold before a member is changed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bakehouse.rollout.plan import Reported

SAMPLE = 12  # reports of members that were healthy, read before each stop
Resource = Mapping[str, Any]


@dataclass(frozen=True)
class Gate:
    """Whether a condition holds, and the reason if not."""

    open: bool
    why: str = ""


def others_are_up(
    member: str,
    siblings: Iterable[str],
    instances: Mapping[str, Resource],
    at_most: int,
    ill: Mapping[str, str] = MappingProxyType({}),
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
    """
    if member in ill:
        return Gate(open=True)
    down = [
        f"{name} ({ill[name]})" if name in ill else name
        for name in sorted(siblings)
        if name != member and (name in ill or instances.get(name, {}).get("status") != "RUNNING")
    ]
    if len(down) < at_most:
        return Gate(open=True)
    return Gate(open=False, why=f"already down: {', '.join(down)} (max_unavailable {at_most})")


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
