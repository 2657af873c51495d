"""The deadline of a run, behind the watcher: Airflow's DeadlineAlert, see Browse → Deadlines.

The scheduler detects it, also while no triggerer runs; the callback then waits for a triggerer.
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


def backstop(longest: timedelta, channels: Sequence[Channel]) -> DeadlineAlert:
    """Return an alert for a run that has not succeeded `longest` after it was queued."""
    as_json = [channel.model_dump(mode="json") for channel in channels]
    return DeadlineAlert(
        reference=RunQueued(),
        interval=longest,
        callback=AsyncCallback(run_is_late, kwargs={"channels": as_json}),
        name=NAME,
    )


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
