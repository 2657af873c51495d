"""Airflow's tables in memory, with one run of one DAG."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.models.dagrun import DagRun
    from airflow.models.deadline import Deadline
    from airflow.models.taskinstance import TaskInstance

DAG, RUN = "bake__web", "manual__1"
START = datetime(2026, 11, 27, 3, tzinfo=UTC)
SLA = timedelta(minutes=10)


class World:
    """The run, and what stands about it in the database."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.run = self._run()

    def _run(self) -> DagRun:
        from airflow.models.dag import DagModel
        from airflow.models.dagbundle import DagBundleModel
        from airflow.models.dagrun import DagRun
        from airflow.utils.state import DagRunState
        from airflow.utils.types import DagRunTriggeredByType, DagRunType

        run = DagRun(
            dag_id=DAG,
            run_id=RUN,
            run_type=DagRunType.MANUAL,
            run_after=START,
            state=DagRunState.RUNNING,
            queued_at=START,
            start_date=START,
            triggered_by=DagRunTriggeredByType.REST_API,
        )
        dag: Any = SimpleNamespace(tags={"bakehouse"}, has_task=lambda task: task == "result")
        run.dag = dag
        self.session.add_all(
            [DagBundleModel(name="dags"), DagModel(dag_id=DAG, bundle_name="dags"), run]
        )
        self.session.commit()
        return run

    def task(
        self,
        task_id: str,
        state: str | None,
        ended: datetime | None = None,
        started: datetime | None = None,
    ) -> TaskInstance:
        from airflow.models.taskinstance import TaskInstance
        from airflow.sdk import BaseOperator
        from airflow.serialization.serialized_objects import create_scheduler_operator
        from uuid6 import uuid7

        operator = create_scheduler_operator(BaseOperator(task_id=task_id))
        ti = TaskInstance(operator, run_id=RUN, state=state, dag_version_id=uuid7())
        ti.dag_id, ti.start_date, ti.end_date = DAG, started, ended
        self.session.add(ti)
        self.session.commit()
        return ti

    def deadline(self, task_id: str = "", after: timedelta = SLA) -> None:
        """A deadline of a task, or of the run."""
        from airflow.models.deadline import Deadline

        from bakehouse.sla.backstop import backstop, task_deadline

        alert = task_deadline(task_id, after) if task_id else backstop(after, [])
        self.session.add(Deadline(START + after, alert.callback, self.run.id, None, dag_id=DAG))
        self.session.commit()

    def scheduler_finds_it_missed(self) -> None:
        """As the scheduler's loop does."""
        for row in self.rows:
            if not row.missed:
                row.handle_miss(self.session)
        self.session.commit()

    @property
    def rows(self) -> list[Deadline]:
        from airflow.models.deadline import Deadline

        return list(self.session.scalars(select(Deadline)))

    @property
    def note(self) -> str | None:
        self.session.commit()
        self.session.expire_all()
        note: str | None = self.run.note
        return note

    def xcom(self, task_id: str, key: str, value: Any) -> None:
        from airflow.models.xcom import XComModel

        XComModel.set(
            key=key, value=value, dag_id=DAG, run_id=RUN, task_id=task_id,
            serialize=False, session=self.session,
        )  # fmt: skip
        self.session.commit()

    def xcoms(self) -> dict[tuple[str, str], Any]:
        from airflow.models.xcom import XComModel

        self.session.commit()
        return {(x.task_id, x.key): x.value for x in self.session.scalars(select(XComModel))}


@pytest.fixture
def world() -> Iterator[World]:
    from airflow.models import import_all_models
    from airflow.models.base import Base

    from bakehouse.runs.deadlines import judge_misses

    judge_misses()
    import_all_models()
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        yield World(session)
    engine.dispose()
