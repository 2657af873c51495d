"""The `on_failure_callback` of a DAG: notifies that a run has failed."""

from __future__ import annotations

import logging
from typing import Any

from airflow.sdk import BaseNotifier

from bakehouse.core.tasks import REASON, RESULT
from bakehouse.notify.models import Channel, Notification, NotificationEvent
from bakehouse.notify.send import notify

log = logging.getLogger(__name__)


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
            text=_reason(context),
            dag_id=run.dag_id,
            run_id=run.run_id,
        )
        notify([Channel.model_validate(channel) for channel in self.channels], notification)


def _reason(context: Any) -> str:
    """Return why the run has failed, as its last task says; else Airflow's word, as task_failure.

    Airflow passes no task instance when the task is no longer in the DAG.
    """
    told = None
    if ti := context.get("ti"):
        try:
            told = ti.xcom_pull(task_ids=RESULT, key=REASON)
        except Exception as problem:
            log.warning("the reason of the failure was not read: %s", problem)
    return str(told or context.get("reason") or "a task failed")
