"""The record of a missed SLA: an event in the ledger, and a notification."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bakehouse.core.reasons import Reason
from bakehouse.history.bake_events import SlaMissDetail, SlaMissEvent
from bakehouse.history.recording import record
from bakehouse.notify.models import Channel, Notification, NotificationEvent
from bakehouse.notify.send import notify

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bakehouse.sla.misses import Miss


def record_miss(ti: Any, subject: str, miss: Miss) -> None:
    """Write one event for each task and run, however many tries the task has."""
    event = SlaMissEvent(
        time=miss.deadline,
        at=miss.noticed,
        dag_id=ti.dag_id,
        run_id=ti.run_id,
        task_id=miss.task_id,
        recipe=subject,
        reason=Reason.SLA_MISSED,
        subject=miss.task_id,
        detail=SlaMissDetail.model_validate(miss, from_attributes=True),
    )
    record(event)


def notify_miss(ti: Any, channels: Sequence[Channel], miss: Miss) -> None:
    """Notify the channels of the recipe or fleet."""
    notification = Notification(
        occasion=NotificationEvent.SLA_MISS,
        title=f"{ti.dag_id}: {miss.task_id} is late",
        text=str(miss),
        dag_id=ti.dag_id,
        run_id=ti.run_id,
        task_id=miss.task_id,
    )
    notify(channels, notification)
