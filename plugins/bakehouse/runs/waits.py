"""The lines of a run's note that say what its tasks wait for, and since when.

No task can write a note, and Airflow tells no listener that a task is deferred. But its scheduler
looks at each running run again and again; there the XComs of the tasks that wait are read, at most
every 15 seconds for a run.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.state import State
from sqlalchemy import and_, event, select
from sqlalchemy.orm import object_session

from bakehouse.core.tasks import WAITS
from bakehouse.runs.note import waiting_line
from bakehouse.runs.run_note import set_waits

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

LOOK_EVERY = 15.0  # seconds
MOST = 1_000  # runs whose last look is remembered

log = logging.getLogger(__name__)
_looked: dict[int, float] = {}


def watch() -> None:
    """Have the note of each run kept, wherever this process decides about its tasks."""
    if not event.contains(DagRun.last_scheduling_decision, "set", _decided):
        event.listen(DagRun.last_scheduling_decision, "set", _decided)


def _decided(run: DagRun, *_: Any) -> None:
    session, now = object_session(run), time.monotonic()
    dag = run.dag
    if session is None or dag is None or "bakehouse" not in (dag.tags or ()):
        return
    if now - _looked.get(run.id, float("-inf")) < LOOK_EVERY:
        return
    if len(_looked) >= MOST:
        _looked.clear()
    _looked[run.id] = now
    event.listen(session, "before_flush", lambda *_: _note(run, session), once=True)


def _note(run: DagRun, session: Session) -> None:
    """Write the lines. Never disturb the scheduler."""
    try:
        with session.no_autoflush:
            set_waits(run, waiting(run, session))
    except Exception:
        log.exception("the note of %s of %s could not be kept", run.run_id, run.dag_id)


def waiting(run: DagRun, session: Session) -> list[str]:
    """Return a line for each task that waits, the longest wait first."""
    of_task = and_(
        TaskInstance.dag_id == XComModel.dag_id,
        TaskInstance.run_id == XComModel.run_id,
        TaskInstance.task_id == XComModel.task_id,
        TaskInstance.map_index == XComModel.map_index,
    )
    wanted = (
        select(XComModel, TaskInstance.state)
        .join(TaskInstance, of_task)
        .where(XComModel.dag_id == run.dag_id, XComModel.run_id == run.run_id)
        .where(XComModel.key == WAITS)
    )
    found: list[tuple[str, str]] = []
    for xcom, state in session.execute(wanted):
        said = XComModel.deserialize_value(xcom)
        if isinstance(said, dict) and state not in State.finished:
            line = waiting_line(
                xcom.task_id, str(said["member"]), str(said["since"]), str(said["why"])
            )
            found.append((str(said["since"]), line))
    return [line for _, line in sorted(found)]
