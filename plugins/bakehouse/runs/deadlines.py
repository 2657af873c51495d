"""The rows of Browse → Deadlines: right about tasks, and about runs that have ended.

Airflow 3.3 evaluates a deadline once, when it creates the run, and marks it as missed when its time
has passed, unless the run has succeeded. So a task that succeeded in time would be shown as late
while its run goes on, and a run that failed early would turn late hours later.
docs/decisions/0073-how-a-run-ends.md says what was tried.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.models.deadline import Deadline
from airflow.models.deadline_alert import DeadlineAlert
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.serialization.decoders import decode_deadline_alert
from sqlalchemy import event, select
from sqlalchemy.orm import object_session

from bakehouse.runs.note import late_line
from bakehouse.runs.run_note import add_to_note
from bakehouse.sla.backstop import TASK_ID
from bakehouse.sla.misses import Miss, is_late

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from sqlalchemy.orm import Session

log = logging.getLogger(__name__)


def restart(run: DagRun, session: Session) -> None:
    """Count each deadline from the start of the run; a cleared run has deadlines again."""
    if run.start_date is None:
        return
    waiting = {row.deadline_alert_id: row for row in _pending(run, session)}
    for alert in _alerts(run, session):
        found = decode_deadline_alert(
            {
                "reference": alert.reference,
                "interval": alert.interval,
                "callback": alert.callback_def,
            }
        )
        moment = run.start_date + found.interval
        if row := waiting.get(alert.id):
            row.deadline_time = moment
        else:
            session.add(
                Deadline(
                    deadline_time=moment,
                    callback=found.callback,
                    dagrun_id=run.id,
                    deadline_alert_id=alert.id,
                    dag_id=run.dag_id,
                    bundle_name=run.dag_model.bundle_name,
                )
            )


def forget(run: DagRun, session: Session) -> None:
    """Delete the deadlines that a run has kept, or needs no longer, since it has ended."""
    for row in _pending(run, session):
        if run.end_date is None or run.end_date <= row.deadline_time:
            session.delete(row)


def judge_misses() -> None:
    """Have each deadline that this process marks as missed judged, before it is written."""
    if not event.contains(Deadline.missed, "set", _marked_missed):
        event.listen(Deadline.missed, "set", _marked_missed)


def _marked_missed(row: Deadline, value: bool, *_: Any) -> None:
    session = object_session(row)
    if value and session is not None:
        event.listen(session, "before_flush", lambda *_: _judge(row, session), once=True)


def _judge(row: Deadline, session: Session) -> None:
    """Delete a row that says more than is true; note a true one. Never disturb the scheduler."""
    try:
        with session.no_autoflush:
            miss = _miss(row, session)
            if miss is None:
                session.delete(row)
            elif row.dagrun is not None:
                add_to_note(row.dagrun, [late_line(miss.task_id, str(miss))])
    except Exception:
        log.exception("the missed deadline %s could not be judged", row.id)


def _miss(row: Deadline, session: Session) -> Miss | None:
    """Return what is late; None if nothing is."""
    run, now = row.dagrun, datetime.now(UTC)
    if run is None or (run.end_date is not None and run.end_date <= row.deadline_time):
        return None
    task_id = str((row.callback.data.get("kwargs") or {}).get(TASK_ID) or "")
    begun = run.start_date or run.queued_at or row.created_at
    seconds = (row.deadline_time - begun).total_seconds()
    if not task_id:
        state = str(run.state)
    elif run.start_date is None:
        return None  # the SLA of a task counts from the start of the run
    else:
        late = [
            state or "none"
            for state, ended in _tries(run, task_id, session)
            if is_late(state, ended, row.deadline_time)
        ]
        if not late:
            return None
        state = late[0]
    return Miss(
        task_id=task_id or "the run",
        sla_seconds=seconds,
        state=state,
        deadline=row.deadline_time,
        noticed=now,
    )


def _tries(run: DagRun, task_id: str, session: Session) -> list[tuple[str | None, datetime | None]]:
    """Return state and end of a task's instances; a mapped task has several."""
    wanted = select(TaskInstance.state, TaskInstance.end_date).where(
        TaskInstance.dag_id == run.dag_id,
        TaskInstance.run_id == run.run_id,
        TaskInstance.task_id == task_id,
    )
    return [(state, ended) for state, ended in session.execute(wanted)]


def _pending(run: DagRun, session: Session) -> list[Deadline]:
    wanted = select(Deadline).where(Deadline.dagrun_id == run.id, ~Deadline.missed)
    return list(session.scalars(wanted))


def _alerts(run: DagRun, session: Session) -> list[DeadlineAlert]:
    """Return the alerts of the DAG in the run's version."""
    wanted = (
        select(DeadlineAlert)
        .join(SerializedDagModel, DeadlineAlert.serialized_dag_id == SerializedDagModel.id)
        .where(SerializedDagModel.dag_version_id == run.created_dag_version_id)
    )
    return list(session.scalars(wanted))
