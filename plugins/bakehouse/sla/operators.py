"""The task that watches a run's SLAs; see docs/decisions/0006-sla-watcher.md."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, BaseOperator
from airflow.triggers.base import StartTriggerArgs

from bakehouse.notify.model import Channel


class SlaWatch(BaseOperator):
    """Starts in the triggerer, stays there, and never needs a worker.

    :param slas: seconds from the run's start within which each task should have succeeded.
    """

    start_from_trigger = True
    # rendered in the triggerer, so the name must be a template field of operator and trigger alike
    template_fields = ("started",)

    def __init__(
        self,
        *,
        slas: dict[str, float],
        subject: str,
        channels: list[dict[str, Any]],
        interval: float = 5.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.started = "{{ dag_run.start_date.isoformat() }}"
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls="bakehouse.sla.triggers.SlaWatchTrigger",
            trigger_kwargs={
                "started": self.started,
                "slas": slas,
                "subject": subject,
                "channels": channels,
                "interval": interval,
            },
            next_method="done",
            next_kwargs=None,
            timeout=None,
        )

    def execute(self, context: Any) -> None:
        """`dag.test()` ignores start_from_trigger and comes here: nothing is watched there."""
        self.log.info("SLAs are watched in the triggerer only; this run has none: not watched")

    def done(self, context: Any, event: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """Never reached on a scheduler: the trigger ends the task itself."""
        return event


def watch_slas(dag: DAG, subject: str, channels: Sequence[Channel]) -> SlaWatch | None:
    """Give the DAG a watcher for every task that has an `sla`; the last line of a DAG.

    :param subject: the recipe or fleet.
    :param channels: who is told.

    A teardown whose failure does not fail the run: its state never decides the run's.
    """
    promised = {task.task_id: getattr(task, "sla", None) for task in dag.tasks}
    slas = {
        task_id: sla.total_seconds()
        for task_id, sla in promised.items()
        if isinstance(sla, timedelta)
    }
    if not slas:
        return None
    told = [channel.model_dump(mode="json") for channel in channels]
    watch = SlaWatch(
        task_id="sla_watch", slas=slas, subject=subject, channels=told, retries=3, dag=dag
    )
    watch.as_teardown(on_failure_fail_dagrun=False)
    return watch
