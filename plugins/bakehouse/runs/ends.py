"""What the listener does with a run, in Airflow's database."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.models.taskinstance import TaskInstance, clear_task_instances
from airflow.models.taskinstancehistory import TaskInstanceHistory
from airflow.models.xcom import XComModel
from airflow.utils.state import DagRunState, State, TaskInstanceState
from sqlalchemy import select
from sqlalchemy.orm import object_session

from bakehouse.core.tasks import NOTE, REASON, RESULT, WATCH
from bakehouse.runs import deadlines
from bakehouse.runs.airflow_wait import Span, told
from bakehouse.runs.note import failed_line, late_line, said_line, slow_line
from bakehouse.runs.result import MARK, Mark
from bakehouse.runs.run_note import add_to_note, set_waits, withdraw_note
from bakehouse.sla.misses import Miss, is_late
from bakehouse.sla.triggers import REPORTED

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.models.dagrun import DagRun
    from sqlalchemy.orm import Session

log = logging.getLogger(__name__)


def begin(run: DagRun) -> None:
    """Count the SLAs from this start; after a clear, judge and watch the run again."""
    session = _session(run)
    deadlines.restart(run, session)
    withdraw_note(run)
    if not run.clear_number:
        return
    tasks = _task_instances(run, session)
    if any(ti.state not in State.finished for ti in tasks):
        again = [ti for ti in tasks if ti.task_id in {RESULT, WATCH} and ti.state in State.finished]
        clear_task_instances(again, session, dag_run_state=False)


def marked(run: DagRun, state: str) -> None:
    """A person has ended the run. Keep that for the result, if the teardown is still to come.

    A run that has never started has nothing to tear down: it would stay queued, and start only to
    end, when its turn comes.
    """
    session = _session(run)
    if run.state == DagRunState.QUEUED and not run.clear_number:
        for ti in _task_instances(run, session):
            if ti.state not in State.finished:
                ti.set_state(TaskInstanceState.SKIPPED, session=session)
        run.set_state(DagRunState(state))
    if run.state == state:
        return
    mark = Mark(state=state, clear_number=run.clear_number)
    XComModel.set(
        key=MARK,
        value=mark.model_dump(mode="json"),
        dag_id=run.dag_id,
        task_id=WATCH,
        run_id=run.run_id,
        serialize=False,  # as the values of tasks, which the Execution API stores as they are
        session=session,
    )


def finish(run: DagRun) -> None:
    """Write the note, and forget the deadlines that the run has kept."""
    session = _session(run)
    deadlines.forget(run, session)
    set_waits(run, [])
    lines = [late_line(miss.task_id, str(miss)) for miss in _misses(run, session)]
    if slow := _waited_for_airflow(run, session):
        log.warning("%s of %s: %s", run.run_id, run.dag_id, slow)
        lines.append(slow_line(slow))
    if run.state == DagRunState.FAILED:
        reason = _xcom(run, RESULT, REASON, session) or "somebody marked the run as failed"
        lines.append(failed_line(str(reason)))
    else:
        withdraw_note(run, failure_only=True)
        lines += [said_line(text) for text in _said(run, session)]
    add_to_note(run, lines)


def _waited_for_airflow(run: DagRun, session: Session) -> str | None:
    if run.start_date is None or run.end_date is None:
        return None
    # each try has an id of its own, and a wait between two tries is no fault of Airflow's
    first: dict[tuple[str, int], datetime] = {}
    old = TaskInstanceHistory
    tries = select(old.task_id, old.map_index, old.start_date).where(
        old.dag_id == run.dag_id, old.run_id == run.run_id
    )
    for task_id, index, start in session.execute(tries):
        if start is not None:
            first[task_id, index] = min(start, first.get((task_id, index), start))
    spans = [
        Span(first.get((ti.task_id, ti.map_index), ti.start_date), ti.end_date)
        for ti in _task_instances(run, session)
        if ti.start_date is not None and ti.task_id != WATCH
    ]
    return told(run.start_date, run.end_date, spans)


def _misses(run: DagRun, session: Session) -> list[Miss]:
    """Return what the watcher has found since the start of the run."""
    found = _xcom(run, WATCH, REPORTED, session) or {}
    misses = [Miss.model_validate(miss) for miss in found.values()]
    return [
        miss
        for miss in misses
        if is_late(miss.state, None, miss.deadline)
        and (run.start_date is None or miss.noticed >= run.start_date)
    ]


def _said(run: DagRun, session: Session) -> list[str]:
    """Return what tasks of the run have to say in its note."""
    wanted = XComModel.get_many(run_id=run.run_id, key=NOTE, dag_ids=run.dag_id)
    return [str(XComModel.deserialize_value(found)) for found in session.scalars(wanted)]


def _xcom(run: DagRun, task_id: str, key: str, session: Session) -> Any:
    wanted = XComModel.get_many(
        run_id=run.run_id, key=key, task_ids=task_id, dag_ids=run.dag_id, limit=1
    )
    found = session.scalars(wanted).first()
    return XComModel.deserialize_value(found) if found is not None else None


def _task_instances(run: DagRun, session: Session) -> list[TaskInstance]:
    wanted = select(TaskInstance).where(
        TaskInstance.dag_id == run.dag_id, TaskInstance.run_id == run.run_id
    )
    return list(session.scalars(wanted))


def _session(run: DagRun) -> Session:
    session = object_session(run)
    if session is None:
        raise RuntimeError(f"Airflow passed {run.run_id} of {run.dag_id} without a session")
    return session
