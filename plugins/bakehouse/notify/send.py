"""Send notifications through Airflow's notifiers. Blocking: a trigger calls it in a thread."""

from __future__ import annotations

import logging
from contextvars import copy_context
from threading import Thread
from typing import TYPE_CHECKING, Any

from bakehouse.notify.models import Channel, Notification, NotificationEvent
from bakehouse.notify.notifier import notifier_class

if TYPE_CHECKING:
    from collections.abc import Sequence

VARIABLE = "bakehouse_notifications"  # Airflow Variable; "on" turns notifications on

SECONDS = 60.0  # that a notifier may take

log = logging.getLogger(__name__)


def notify(channels: Sequence[Channel], notification: Notification) -> list[str]:
    """Notify the channels that report this event; return the notifiers that succeeded.

    A notifier that fails or does not return is logged and never fails the caller: the ledger has
    the record.
    """
    selected = [channel for channel in channels if notification.occasion in channel.occasions]
    if not selected or not switched_on():
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


def send(channel: Channel, notification: Notification) -> str | None:
    """Send to one channel, whatever it reports; return the problem, None when it was sent."""
    problems = [f"it did not return within {SECONDS:.0f} s"]

    def call() -> None:
        try:
            notifier = _notifier(channel)
            # `news` is the name that templates of older recipes use
            notifier({"notification": notification, "news": notification})
        except BaseException as problem:  # a user's notifier may raise anything, SystemExit too
            problems[:] = [str(problem) or type(problem).__name__]
        else:
            problems.clear()

    # a thread that hangs is left behind: it ends with the process
    thread = Thread(target=copy_context().run, args=(call,), name="notifier", daemon=True)
    thread.start()
    thread.join(SECONDS)
    return problems[0] if problems else None


def _send(channel: Channel, notification: Notification) -> bool:
    problem = send(channel, notification)
    if problem is not None:
        log.warning("notifier %s failed for %r: %s", channel.notifier, notification.title, problem)
    return problem is None


def _notifier(channel: Channel) -> Any:
    return notifier_class(channel)(**channel.keywords)


def switched_on() -> bool:
    """Whether the Variable `bakehouse_notifications` lets notifications out."""
    from airflow.sdk import Variable

    value = Variable.get(VARIABLE, default="off")
    return str(value).strip().lower() in {"on", "true", "1", "yes"}
