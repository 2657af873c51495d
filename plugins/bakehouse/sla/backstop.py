"""The deadlines behind the watcher: Airflow's DeadlineAlerts, see Browse → Deadlines.

One is the run's, and each task whose recipe or fleet sets its SLA has one. The scheduler detects a
miss, also while no triggerer runs; the callback then waits for a triggerer.
`bakehouse.runs.deadlines` keeps the rows right.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert

from bakehouse.notify.models import Channel, Notification, NotificationEvent
from bakehouse.notify.send import notify
from bakehouse.sla.reference import RunQueued

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

NAME = "longest SLA of the run"
TASK_ID = "task_id"  # argument of a task's callback, by which its row is known


def backstop(longest: timedelta, channels: Sequence[Channel]) -> DeadlineAlert:
    """Return an alert for a run that has not succeeded `longest` after it was queued."""
    as_json = [channel.model_dump(mode="json") for channel in channels]
    return DeadlineAlert(
        reference=RunQueued(),
        interval=longest,
        callback=AsyncCallback(run_is_late, kwargs={"channels": as_json}),
        name=NAME,
    )


def task_deadline(task_id: str, sla: timedelta) -> DeadlineAlert:
    """Return an alert for a task that has not succeeded within its SLA.

    The watcher notifies; this is the row that people see.
    """
    return DeadlineAlert(
        reference=RunQueued(),
        interval=sla,
        callback=AsyncCallback(task_is_late, kwargs={TASK_ID: task_id}),
        name=f"SLA of {task_id}",
    )


async def task_is_late(task_id: str, context: dict[str, Any]) -> str:  # ruff: ignore[unused-async]  Airflow awaits it
    """Say in the callback's output what the row is about; called by the triggerer."""
    return f"{task_id} should have succeeded by {context['deadline']['deadline_time']}"


async def run_is_late(channels: list[dict[str, Any]], context: dict[str, Any]) -> str:
    """Notify that a run is late; called by the triggerer.

    The result is text: Airflow 3.3 stops the callback for good if it is a dict.
    """
    run, deadline = context["dag_run"], context["deadline"]
    notification = Notification(
        occasion=NotificationEvent.SLA_MISS,
        title=f"{run['dag_id']} is late",
        text=f"the run should have succeeded by {deadline['deadline_time']}",
        dag_id=run["dag_id"],
        run_id=run["dag_run_id"],
    )
    wanted = [Channel.model_validate(channel) for channel in channels]
    notified = await asyncio.to_thread(notify, wanted, notification)
    return f"{notification.title}: {notification.text}; notified: {', '.join(notified) or 'nobody'}"
