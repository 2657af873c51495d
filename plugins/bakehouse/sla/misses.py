"""Which tasks have missed their SLA, from the states of a run and the time. Pure.

An SLA has Airflow 2's meaning: the time from the run's start within which the task should have
succeeded, however many tries that takes.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from bakehouse.recipe.duration import format_duration

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

SETTLED = frozenset({"success", "skipped", "removed"})
SOON = 1.0  # seconds between two checks while tasks begin and end
AT_THE_END = 0.25  # the same, once the run's last tasks alone are left
LAST_TASKS = 2
ENDED = SETTLED | {"failed", "upstream_failed"}


class Miss(BaseModel):
    """One task that had not succeeded when its SLA passed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task_id: str
    sla_seconds: float
    state: str  # the task's state when the miss was noticed; "none" before it is scheduled
    deadline: datetime
    noticed: datetime

    def __str__(self) -> str:
        """The sentence for logs and notifications."""
        now = "has not started" if self.state == "none" else f"is {self.state}"
        within = format_duration(timedelta(seconds=max(1, round(self.sla_seconds))))
        return (
            f"{self.task_id} {now}; it should have succeeded within {within} of the run's start,"
            f" by {self.deadline:%H:%M:%S %Z}"
        )


def task_state(
    task_id: str, states: Mapping[str, str | None], known: Collection[str]
) -> str | None:
    """Return the state of a task; of a mapped task the first state that is not final.

    Args:
        task_id: The task.
        states: The answer of the Execution API: `{task_id: state}`, and `{task_id_<n>: state}` for
            mapped task instances.
        known: The ids of all tasks, which are not taken for mapped instances.
    """
    if task_id in states:
        return states[task_id]
    prefix = f"{task_id}_"
    mapped = [
        state
        for key, state in states.items()
        if key.startswith(prefix) and key[len(prefix) :].isdigit() and key not in known
    ]
    unsettled = [state for state in mapped if state not in SETTLED]
    if unsettled:
        return unsettled[0]
    return "success" if mapped else None


def is_late(state: str | None, ended: datetime | None, deadline: datetime) -> bool:
    """Whether a task in this state has missed its SLA, seen when the deadline has passed.

    Of a task that an earlier failure has kept from running, that failure is the news.
    """
    if state in SETTLED:
        return ended is not None and ended > deadline
    return state != "upstream_failed"


def find_misses(
    slas: Mapping[str, float],
    states: Mapping[str, str | None],
    started: datetime,
    now: datetime,
    reported: Collection[str],
) -> list[Miss]:
    """Return the misses that are not reported yet, in the order of their deadlines."""
    late = []
    for task_id, seconds in slas.items():
        deadline = started + timedelta(seconds=seconds)
        state = task_state(task_id, states, slas)
        if task_id not in reported and now >= deadline and state not in SETTLED:
            late.append(
                Miss(
                    task_id=task_id,
                    sla_seconds=seconds,
                    state=state or "none",
                    deadline=deadline,
                    noticed=now,
                )
            )
    return sorted(late, key=lambda miss: miss.deadline)


def seconds_to_next_check(
    slas: Mapping[str, float],
    states: Mapping[str, str | None],
    started: datetime,
    now: datetime,
    reported: Collection[str],
    interval: float,
    idle: float,
) -> float | None:
    """Return the seconds until the next check; None when no SLA can be missed any more.

    The run ends when its watcher does, so it looks often while the states change, most often for
    the last tasks, and less and less often while they do not: a wait for a machine, or for a slot,
    costs few looks.

    Args:
        slas: Seconds from the run's start by task id.
        states: The states of the run's tasks.
        started: The start of the run.
        now: The time of this check.
        reported: The tasks whose miss is reported.
        interval: The most seconds between two checks.
        idle: Seconds since the states have changed.
    """
    open_tasks = [
        task_id
        for task_id in slas
        if task_id not in reported and task_state(task_id, states, slas) not in ENDED
    ]
    if not open_tasks:
        return None
    soon = AT_THE_END if len(open_tasks) <= LAST_TASKS else SOON
    interval = min(interval, max(soon, idle))
    next_deadline = min(started + timedelta(seconds=slas[task_id]) for task_id in open_tasks)
    # just after the deadline, so that the check finds it passed
    return max(0.2, min(interval, (next_deadline - now).total_seconds() + 0.05))
