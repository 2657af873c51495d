"""Send notifications through Airflow's notifiers. Blocking: a trigger calls it in a thread."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bakehouse.notify.models import Channel, Notification, NotificationEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

VARIABLE = "bakehouse_notifications"  # Airflow Variable; "on" turns notifications on

log = logging.getLogger(__name__)


def notify(channels: Sequence[Channel], notification: Notification) -> list[str]:
    """Notify the channels that report this event; return the notifiers that succeeded.

    A notifier that fails is logged and never fails the caller: the ledger has the record.
    """
    selected = [channel for channel in channels if notification.occasion in channel.occasions]
    if not selected or not _switched_on():
        return []
    notified = [channel.notifier for channel in selected if _send(channel, notification)]
    if notified:
        log.info("notified %s: %s", ", ".join(notified), notification.title)
    return notified


def notify_from_task(
    context: Any, channels: Sequence[Channel], occasion: NotificationEvent, title: str, text: str
) -> list[str]:
    """Notify from a task, whose context names the run."""
    ti = context["ti"]
    notification = Notification(
        occasion=occasion,
        title=title,
        text=text,
        dag_id=ti.dag_id,
        run_id=ti.run_id,
        task_id=ti.task_id,
    )
    return notify(channels, notification)


def _send(channel: Channel, notification: Notification) -> bool:
    try:
        notifier = _notifier(channel)
        # `news` is the name that templates of older recipes use
        notifier({"notification": notification, "news": notification})
    except Exception as problem:  # a user's notifier may raise anything
        log.warning("notifier %s failed for %r: %s", channel.notifier, notification.title, problem)
        return False
    return True


def _notifier(channel: Channel) -> Any:
    module, _, name = channel.path.rpartition(".")
    return getattr(import_module(module), name)(**channel.keywords)


def _switched_on() -> bool:
    from airflow.sdk import Variable

    value = Variable.get(VARIABLE, default="off")
    return str(value).strip().lower() in {"on", "true", "1", "yes"}
