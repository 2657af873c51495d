"""Conditions that must hold before a member is changed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Resource = Mapping[str, Any]


@dataclass(frozen=True)
class Gate:
    """Whether a condition holds, and the reason if not."""

    open: bool
    why: str = ""


def others_are_up(
    member: str, siblings: Iterable[str], instances: Mapping[str, Resource], at_most: int
) -> Gate:
    """Require that fewer than `at_most` other members of the rollout are down.

    Airflow counts the tasks that run, not the members that are down: one whose task waits for its
    next try in the middle of a swap would be forgotten.
    """
    down = sorted(
        name
        for name in siblings
        if name != member and instances.get(name, {}).get("status") != "RUNNING"
    )
    if len(down) < at_most:
        return Gate(open=True)
    return Gate(open=False, why=f"already down: {', '.join(down)} (max_unavailable {at_most})")


def nobody_failed(states: Mapping[str, str | None]) -> Gate:
    """Require that no other member of the stage has failed (`states`: by task)."""
    failed = sorted(task for task, state in states.items() if state == "failed")
    return Gate(open=not failed, why=f"failed before: {', '.join(failed)}" if failed else "")
