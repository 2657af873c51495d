"""The states of a rollout as a whole, read from the states of its tasks. Pure.

None is stored: whoever asks reads them from Airflow, so that a killed scheduler or worker changes
none. A run that is cleared begins again, from whatever state it had. The drawing is
docs/rollouts.md.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_STAGE_TASK = re.compile(r"(select_members|replace|verify_stage|approve_stage)_\d+(_\d+)?")
_VERIFY = re.compile(r"verify_stage_\d+")
_APPROVE = re.compile(r"approve_stage_\d+")
_UNDO = re.compile(r"roll_back(_\d+)?")
BAD = frozenset({"failed", "upstream_failed"})
UNDER_WAY = frozenset(
    {
        "running",
        "deferred",
        "up_for_retry",
        "up_for_reschedule",
        "queued",
        "restarting",
        "awaiting_input",
    }
)
DONE = BAD | {"success", "skipped"}


class RolloutState(StrEnum):
    """The state of a rollout."""

    CHOOSING = "choosing"  # its image
    WAITING = "waiting"  # for the fleet's lease
    PLANNING = "planning"
    REPLACING = "replacing"  # members of a stage
    SOAKING = "soaking"  # a stage is watched
    ASKING = "asking"  # a person, whether it may go on
    COMING_TO_REST = "coming_to_rest"  # a stage has failed; its members in mid-swap end first
    ROLLING_BACK = "rolling_back"
    # ends
    NOT_REQUESTED = "not_requested"
    REFUSED = "refused"  # failed before a member was changed
    SUCCEEDED = "succeeded"
    ROLLED_BACK = "rolled_back"  # every member that was changed has what it had
    HALTED = "halted"  # a stage failed, and nothing goes back by itself
    NOT_BACK = "not_back"  # a member could not go back
    STOPPED = "stopped"  # somebody has ended the run


MOVES: dict[RolloutState, frozenset[RolloutState]] = {
    RolloutState.CHOOSING: frozenset(
        {
            RolloutState.WAITING,
            RolloutState.NOT_REQUESTED,
            RolloutState.REFUSED,
            RolloutState.STOPPED,
        }
    ),
    RolloutState.WAITING: frozenset(
        {RolloutState.PLANNING, RolloutState.REFUSED, RolloutState.STOPPED}
    ),
    RolloutState.PLANNING: frozenset(
        {
            RolloutState.REPLACING,
            RolloutState.REFUSED,
            RolloutState.SUCCEEDED,
            RolloutState.STOPPED,
        }
    ),
    RolloutState.REPLACING: frozenset(
        {
            RolloutState.SOAKING,
            RolloutState.ASKING,
            RolloutState.COMING_TO_REST,
            RolloutState.SUCCEEDED,
            RolloutState.STOPPED,
        }
    ),
    RolloutState.SOAKING: frozenset(
        {
            RolloutState.REPLACING,
            RolloutState.ASKING,
            RolloutState.COMING_TO_REST,
            RolloutState.SUCCEEDED,
            RolloutState.STOPPED,
        }
    ),
    RolloutState.ASKING: frozenset(
        {RolloutState.REPLACING, RolloutState.COMING_TO_REST, RolloutState.STOPPED}
    ),
    RolloutState.COMING_TO_REST: frozenset(
        {
            RolloutState.ROLLING_BACK,
            RolloutState.HALTED,
            RolloutState.NOT_BACK,
            RolloutState.STOPPED,
        }
    ),
    RolloutState.ROLLING_BACK: frozenset(
        {RolloutState.ROLLED_BACK, RolloutState.NOT_BACK, RolloutState.STOPPED}
    ),
    RolloutState.NOT_REQUESTED: frozenset(),
    RolloutState.REFUSED: frozenset(),
    RolloutState.SUCCEEDED: frozenset(),
    RolloutState.ROLLED_BACK: frozenset(),
    RolloutState.HALTED: frozenset(),
    RolloutState.NOT_BACK: frozenset(),
    RolloutState.STOPPED: frozenset(),
}
LEFT_BEHIND = frozenset({RolloutState.REFUSED, RolloutState.HALTED, RolloutState.NOT_BACK})
"""Ends after which members, or a group, may have another image than before."""
ENDS = frozenset(state for state, after in MOVES.items() if not after)


def rollout_state(states: Mapping[str, str | None], *, stranded: bool = False) -> RolloutState:
    """Return the state of a rollout.

    Args:
        states: by task id in the group (`replace_1_0` for a mapped one); None: not yet begun.
        stranded: a member has no way back.
    """
    if states.get("choose_image") == "skipped":
        return RolloutState.NOT_REQUESTED
    before = {
        "choose_image": RolloutState.CHOOSING,
        "acquire_lease": RolloutState.WAITING,
        "plan": RolloutState.PLANNING,
    }
    if any(states.get(task) in BAD for task in before):
        return RolloutState.REFUSED
    for task, state in before.items():
        if states.get(task) != "success":
            return RolloutState.STOPPED if states.get(task) == "skipped" else state
    if states.get("plan_rollback") not in DONE:
        return _in_a_stage(states)
    return _after_the_stages(states, stranded=stranded)


def _in_a_stage(states: Mapping[str, str | None]) -> RolloutState:
    if stage_failed(states):
        return RolloutState.COMING_TO_REST
    under_way = [task for task, state in states.items() if state in UNDER_WAY]
    if any(_APPROVE.fullmatch(task) for task in under_way):
        return RolloutState.ASKING
    soaks = any(_VERIFY.fullmatch(task) for task in under_way)
    return RolloutState.SOAKING if soaks else RolloutState.REPLACING


def _after_the_stages(states: Mapping[str, str | None], *, stranded: bool) -> RolloutState:
    undone = {task: state for task, state in states.items() if _UNDO.fullmatch(task)}
    if states.get("plan_rollback") in BAD:
        return RolloutState.NOT_BACK
    if states.get("plan_rollback") == "skipped":
        return RolloutState.STOPPED
    if not stage_failed(states):
        return RolloutState.SUCCEEDED
    if undone.get("roll_back", "success") not in DONE:  # who goes back is not known yet
        return RolloutState.COMING_TO_REST
    if any(state not in DONE for state in undone.values()):
        return RolloutState.ROLLING_BACK
    if stranded or any(state in BAD for state in undone.values()):
        return RolloutState.NOT_BACK
    if "success" not in undone.values():  # nobody is to go back
        return RolloutState.HALTED
    left = any(state == "skipped" for task, state in undone.items() if task != "roll_back")
    return RolloutState.STOPPED if left else RolloutState.ROLLED_BACK


def is_stage_task(task_id: str) -> bool:
    """Whether it is a task of a stage, by its id in the group."""
    return _STAGE_TASK.fullmatch(task_id) is not None


def stage_failed(states: Mapping[str, str | None]) -> bool:
    """Whether a task of a stage failed."""
    return any(state in BAD for task, state in states.items() if is_stage_task(task))


def edges() -> Iterable[tuple[RolloutState, RolloutState]]:
    """Return all legal transitions."""
    return ((a, b) for a in RolloutState for b in RolloutState if b in MOVES[a])
