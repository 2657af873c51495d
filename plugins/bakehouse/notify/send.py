"""Hands news to Airflow's notifiers. Blocking: a trigger calls it in a thread."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bakehouse.notify.models import Channel, Notification, NotificationEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

SWITCH = "bakehouse_notifications"  # Airflow variable: "on" turns notifications on

log = logging.getLogger(__name__)


def notify(channels: Sequence[Channel], notification: Notification) -> list[str]:
    """Tell the channels that want this occasion; answers with the notifiers that were told.

    A notifier that fails is logged and never fails the caller: the ledger has the record.
    """
    wanting = [channel for channel in channels if notification.occasion in channel.occasions]
    if not wanting or not _switched_on():
        return []
    told = [channel.notifier for channel in wanting if _tell(channel, notification)]
    if told:
        log.info("told %s: %s", ", ".join(told), notification.title)
    return told


def notify_from_task(
    context: Any, channels: Sequence[Channel], occasion: NotificationEvent, title: str, text: str
) -> list[str]:
    """The same from a task: the run is read from its context."""
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


def _tell(channel: Channel, notification: Notification) -> bool:
    try:
        notifier = _notifier(channel)
        notifier({"news": notification})
    except Exception as problem:  # whatever a notifier of the user's raises
        log.warning("could not tell %s of %r: %s", channel.notifier, notification.title, problem)
        return False
    return True


def _notifier(channel: Channel) -> Any:
    module, _, name = channel.path.rpartition(".")
    return getattr(import_module(module), name)(**channel.keywords)


def _switched_on() -> bool:
    from airflow.sdk import Variable

    value = Variable.get(SWITCH, default="off")
    return str(value).strip().lower() in {"on", "true", "1", "yes"}
