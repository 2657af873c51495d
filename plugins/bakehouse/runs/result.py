"""The result of a run, from the states of its tasks and what a person has said of it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.core.models import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

MARK = "marked"  # XCom of `sla_watch`, which no start of a task deletes: a Mark
ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
NO_REASON = "it left no reason; its log ends with what happened"


class Mark(Frozen):
    """What a person has marked a run as, while its teardown was still to come."""

    state: str  # success or failed
    clear_number: int  # of the run: a mark from before a clear counts no more


def unfinished(states: Mapping[str, str | None], besides: Collection[str]) -> list[str]:
    """Return the tasks that have not ended, besides these."""
    return [task for task, state in states.items() if state not in ENDED and task not in besides]


def failed_tasks(
    order: Sequence[str], states: Mapping[str, str | None]
) -> list[tuple[str, int | None]]:
    """Return the failed tasks in the order of the flow, a mapped one with its map index.

    Args:
        order: The ids of the run's tasks.
        states: By task id; of a mapped task by `<task id>_<map index>`.
    """
    found: list[tuple[str, int | None]] = []
    for task_id in order:
        if states.get(task_id) == "failed":
            found.append((task_id, None))
        indexes = sorted(
            int(index)
            for name, state in states.items()
            if state == "failed" and name not in order
            for task, _, index in [name.rpartition("_")]
            if task == task_id and index.isdigit()
        )
        found += [(task_id, index) for index in indexes]
    return found


def failure(
    order: Sequence[str],
    states: Mapping[str, str | None],
    mark: Mark | None,
    reason_of: Callable[[str, int | None], str | None],
) -> str | None:
    """Return the reason why a run has failed, in one line; None if it has not.

    A person who marks a run fails the tasks that run, which leave no reason, and skips those to
    come. So the first task that has left a reason says it, then the mark, then the states.
    """
    if mark is not None and mark.state == "success":
        return None
    failed = failed_tasks(order, states)
    for task_id, index in failed:
        if reason := reason_of(task_id, index):
            return f"{_name(task_id, index)}: {reason}"
    if mark is not None:
        during = f", while {_name(*failed[0])} was running" if failed else ""
        return f"somebody marked the run as failed{during}"
    if failed:
        return f"{_name(*failed[0])}: {NO_REASON}"
    lost = [task_id for task_id in order if states.get(task_id) == "upstream_failed"]
    return f"{lost[0]} did not run, since a task before it has failed" if lost else None


def _name(task_id: str, index: int | None) -> str:
    return task_id if index is None else f"{task_id}[{index}]"
