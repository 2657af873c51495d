"""The outcome of a rollout, from the states of its tasks. Pure."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING

from bakehouse.rollout.states import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bakehouse.history.rollout_events import MemberOutcome

_STAGE_TASK = re.compile(r"(select_members|replace|verify_stage|approve_stage)_\d+(_\d+)?")
_UNDO = re.compile(r"roll_back(_\d+)?")
BAD = frozenset({"failed", "upstream_failed"})


class Outcome(StrEnum):
    """The outcome of a rollout."""

    NONE = "none"  # none was asked for
    GOOD = "good"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"


def rollout_outcome(states: Mapping[str, str | None], *, stranded: bool = False) -> Outcome:
    """Return the outcome.

    Args:
        states: by task id in the group (`replace_1_0` for a mapped one).
        stranded: a member has no way back.
    """
    if states.get("choose_image") == "skipped":
        return Outcome.NONE
    before = ("choose_image", "acquire_lease", "plan", "plan_rollback")
    if any(states.get(task) in BAD for task in before) or states.get("plan") != "success":
        return Outcome.FAILED
    if not stage_failed(states):
        return Outcome.GOOD
    undone = {task: state for task, state in states.items() if _UNDO.fullmatch(task)}
    went_back = bool(undone) and all(state == "success" for state in undone.values())
    return Outcome.ROLLED_BACK if went_back and not stranded else Outcome.FAILED


def in_words(outcome: MemberOutcome) -> str:
    """Return the outcome of a member as a sentence."""
    member, state = outcome.member, outcome.state
    image = outcome.image or (f"its disk {outcome.disk}" if outcome.disk else "the image")
    first = f"; the first try: {outcome.first_try}" if outcome.first_try else ""
    if state == State.REMOVED:
        return f"{member}, which this rollout had created, is deleted again"
    if outcome.way == "back":
        if state == State.REPLACED:
            return f"{member} is back on {image}"
        return f"{member} is not back on {image}: {state}, {outcome.why}"
    if state == State.REPLACED:
        return f"{member} runs {image}: {outcome.why}{first}"
    if state == State.UNHEALTHY:
        return f"{member} is not healthy on {image}: {outcome.why}{first}"
    return f"{member} was not moved to {image}: {state}, {outcome.why}{first}"


def failed_members(states: Mapping[str, str | None], task: str) -> list[int]:
    """Return the map indexes of a mapped task that failed."""
    indexes = ((name.removeprefix(f"{task}_"), state) for name, state in states.items())
    return sorted(int(index) for index, state in indexes if index.isdigit() and state == "failed")


def is_stage_task(task_id: str) -> bool:
    """Whether it is a task of a stage, by its id in the group."""
    return _STAGE_TASK.fullmatch(task_id) is not None


def stage_failed(states: Mapping[str, str | None]) -> bool:
    """Whether a task of a stage failed."""
    return any(state in BAD for task, state in states.items() if is_stage_task(task))
