"""The `on_failure_callback` of a DAG: notifies that a run has failed."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseNotifier

from bakehouse.notify.models import Channel, Notification, NotificationEvent
from bakehouse.notify.send import notify


class RunFailed(BaseNotifier):
    """Runs in the DAG processor when a run of the DAG has failed."""

    def __init__(self, channels: list[dict[str, Any]]) -> None:
        """Keep the channels.

        Args:
            channels: The channels as JSON, since Airflow serialises the DAG.
        """
        super().__init__()
        self.channels = channels

    def notify(self, context: Any) -> None:
        """Notify every channel that reports failures."""
        run = context["dag_run"]
        notification = Notification(
            occasion=NotificationEvent.FAILURE,
            title=f"{run.dag_id} failed",
            text=str(context.get("reason") or "a task failed"),
            dag_id=run.dag_id,
            run_id=run.run_id,
        )
        notify([Channel.model_validate(channel) for channel in self.channels], notification)
