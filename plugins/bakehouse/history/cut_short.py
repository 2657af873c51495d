"""Rollouts whose run is over, or was deleted, without having said how they ended. Pure.

A run that a person marks says it by its teardown. One that is deleted, or whose teardown fails,
says nothing, and would be under way for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.core.reasons import Reason
from bakehouse.history.overview import IN_FLIGHT, rollout_key, rollouts
from bakehouse.history.rollout_events import (
    RolloutCutShortDetail,
    RolloutCutShortEvent,
    RolloutEndedEvent,
    RolloutPlannedEvent,
)
from bakehouse.history.wait_events import WaitedEvent, WaitsEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from bakehouse.history.event import Event
    from bakehouse.history.events import LedgerEvent
    from bakehouse.history.overview import RolloutKey

KINDS: tuple[type[Event], ...] = (
    RolloutPlannedEvent,
    RolloutEndedEvent,
    RolloutCutShortEvent,
    WaitsEvent,
    WaitedEvent,
)
"""The events by which a rollout is known to be under way."""
GOES_ON = frozenset({"queued", "running"})  # states of a run


def cut_short(
    read: Callable[[], Sequence[LedgerEvent]],
    state_of: Callable[[str, str], str | None],
    now: datetime,
    task_id: str,
) -> tuple[Sequence[LedgerEvent], list[RolloutCutShortEvent]]:
    """Return the events, and one more for each rollout that is cut short.

    Args:
        read: Reads the events of KINDS, or more, the oldest first. It is asked again behind
            `state_of`: a run that has just ended has written its last event before.
        state_of: DAG and run -> the run's state; None if Airflow does not know the run.
        now: When they were found.
        task_id: Of who writes them.
    """
    events = read()
    over = {
        key: state
        for key in _under_way(events)
        if (state := state_of(key.dag_id, key.run_id)) not in GOES_ON
    }
    if not over:
        return events, []
    events = read()
    found = _under_way(events)
    return events, [
        _event(found[key], state, now, task_id) for key, state in over.items() if key in found
    ]


def _under_way(events: Iterable[LedgerEvent]) -> dict[RolloutKey, tuple[RolloutPlannedEvent, str]]:
    """Return the plan of each rollout that is under way, and what tells its attempts apart."""
    events = list(events)
    wanted = {row.key for row in rollouts(events) if row.state in IN_FLIGHT}
    plans: dict[RolloutKey, RolloutPlannedEvent] = {}
    last: dict[RolloutKey, LedgerEvent] = {}
    for event in events:
        key = rollout_key(event)
        if key in wanted:
            last[key] = event
            if isinstance(event, RolloutPlannedEvent):
                plans[key] = event
    return {key: (plans[key], last[key].id) for key in wanted}


def _event(
    found: tuple[RolloutPlannedEvent, str], state: str | None, now: datetime, task_id: str
) -> RolloutCutShortEvent:
    plan, attempt = found
    why = "its run was deleted" if state is None else f"its run has ended: {state}"
    return RolloutCutShortEvent(
        time=plan.time,
        at=now,
        dag_id=plan.dag_id,
        run_id=plan.run_id,
        task_id=task_id,
        recipe=plan.recipe,
        image=plan.image,
        git_sha=plan.git_sha,
        reason=Reason.CUT_SHORT,
        subject=f"{plan.detail.fleet} behind {attempt}",
        detail=RolloutCutShortDetail(fleet=plan.detail.fleet, why=why),
    )
