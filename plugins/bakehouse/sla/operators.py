"""The task that watches a run's SLAs; see docs/decisions/0006-sla-watcher.md."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, BaseOperator
from airflow.triggers.base import StartTriggerArgs
from typing_extensions import override

from bakehouse.core.tasks import WATCH
from bakehouse.notify.run_failed import RunFailed
from bakehouse.schedule.classes import only_builtin
from bakehouse.sla.backstop import backstop, task_deadline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bakehouse.notify.models import Channel


class SlaWatch(BaseOperator):
    """Watches the SLAs of a run. It starts and ends in the triggerer and never needs a worker."""

    start_from_trigger = True
    # the triggerer renders it: operator and trigger need a template field of the same name
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
        """Set up the trigger.

        Args:
            slas: Seconds from the run's start within which each task should have succeeded.
            subject: The recipe or fleet.
            channels: The channels as JSON.
            interval: Seconds between two checks.
            **kwargs: The arguments of every operator.
        """
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

    @override
    def execute(self, context: Any) -> None:
        """Log that nothing is watched: only `dag.test()` calls this, without a triggerer."""
        self.log.info("SLAs are not watched: this run has no triggerer")

    def done(self, _context: Any, event: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """Return the event. A scheduler never calls this: the trigger ends the task."""
        return event


def watch_slas(dag: DAG, subject: str, channels: Sequence[Channel]) -> SlaWatch | None:
    """Add the watcher of the SLAs, the deadlines and the failure callback; call it last.

    The watcher is a teardown whose failure does not fail the run.

    Args:
        dag: The DAG, with all of its tasks.
        subject: The recipe or fleet.
        channels: The channels to notify.
    """
    promised = {task.task_id: sla for task in dag.tasks if (sla := _sla_of(task)) is not None}
    if not promised:
        return None
    own = [task.task_id for task in dag.tasks if _argument(task, "own_sla")]
    if not only_builtin():  # they count from a class of ours
        dag.deadline = [
            backstop(max(promised.values()), channels),
            *(task_deadline(task_id, promised[task_id]) for task_id in own),
        ]
    if channels:
        dag.on_failure_callback = RunFailed([c.model_dump(mode="json") for c in channels])
        dag.has_on_failure_callback = True  # Airflow sets this only in the DAG's constructor
    as_json = [channel.model_dump(mode="json") for channel in channels]
    watch = SlaWatch(
        task_id=WATCH,
        slas={task_id: sla.total_seconds() for task_id, sla in promised.items()},
        subject=subject,
        channels=as_json,
        retries=3,
        doc_md="Reports each task that misses its SLA while the run is in progress.",
        dag=dag,
    )
    watch.as_teardown(on_failure_fail_dagrun=False)
    return watch


def _sla_of(task: Any) -> timedelta | None:
    found = _argument(task, "sla")
    return found if isinstance(found, timedelta) else None


def _argument(task: Any, name: str) -> Any:
    """An argument of a task; a mapped task has it among its partial arguments."""
    return getattr(task, name, None) or getattr(task, "partial_kwargs", {}).get(name)
