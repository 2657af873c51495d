"""The run's own deadline: Airflow's DeadlineAlert behind the watcher, seen in Browse → Deadlines.

The scheduler notices it, so it holds while no triggerer runs; only the telling waits for one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from bakehouse.notify.models import Channel, Notification, NotificationEvent
from bakehouse.notify.send import notify

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

NAME = "longest SLA of the run"


def backstop(longest: timedelta, channels: Sequence[Channel]) -> DeadlineAlert:
    """Missed when the run has not succeeded `longest` after it was queued."""
    told = [channel.model_dump(mode="json") for channel in channels]
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=longest,
        callback=AsyncCallback(run_is_late, kwargs={"channels": told}),
        name=NAME,
    )


async def run_is_late(channels: list[dict[str, Any]], context: dict[str, Any]) -> str:
    """Called by the triggerer. Answers with text: a dict would end it for good (Airflow 3.3)."""
    run, deadline = context["dag_run"], context["deadline"]
    notification = Notification(
        occasion=NotificationEvent.SLA_MISS,
        title=f"{run['dag_id']} is late",
        text=f"the run should have succeeded by {deadline['deadline_time']}",
        dag_id=run["dag_id"],
        run_id=run["dag_run_id"],
    )
    wanted = [Channel.model_validate(channel) for channel in channels]
    told = await asyncio.to_thread(notify, wanted, notification)
    return f"{notification.title}: {notification.text}; told: {', '.join(told) or 'nobody'}"
