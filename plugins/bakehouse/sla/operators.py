"""The task that watches a run's SLAs; see docs/decisions/0006-sla-watcher.md."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, BaseOperator
from airflow.triggers.base import StartTriggerArgs

from bakehouse.notify.run_failed import RunFailed
from bakehouse.sla.backstop import backstop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bakehouse.notify.models import Channel


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
    """Give the DAG all that notices lateness and failure; the last line of a DAG.

    A watcher for every task that has an `sla`, the run's own deadline behind it, and, when anybody
    is to be told, the failure of a run.

    :param subject: the recipe or fleet.
    :param channels: who is told.

    A teardown whose failure does not fail the run: its state never decides the run's.
    """
    promised = {task.task_id: sla for task in dag.tasks if (sla := _sla_of(task)) is not None}
    if not promised:
        return None
    dag.deadline = [backstop(max(promised.values()), channels)]
    if channels:
        dag.on_failure_callback = RunFailed([c.model_dump(mode="json") for c in channels])
        dag.has_on_failure_callback = True  # Airflow looks at this only when the DAG is made
    told = [channel.model_dump(mode="json") for channel in channels]
    watch = SlaWatch(
        task_id="sla_watch",
        slas={task_id: sla.total_seconds() for task_id, sla in promised.items()},
        subject=subject,
        channels=told,
        retries=3,
        doc_md="Notices, while the run goes on, which task is later than its SLA.",
        dag=dag,
    )
    watch.as_teardown(on_failure_fail_dagrun=False)
    return watch


def _sla_of(task: Any) -> timedelta | None:
    """A step's own; a mapped one keeps it among its partial arguments."""
    found = getattr(task, "sla", None) or getattr(task, "partial_kwargs", {}).get("sla")
    return found if isinstance(found, timedelta) else None
