"""Walks a bake's steps as Airflow would, against a real localgce, without Airflow's processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow.sdk.api.datamodels._generated import DagRunType
from airflow.sdk.exceptions import TaskDeferred
from tests.support.errors import bakehouse_errors

from bakehouse.bake.builder_operators import CreateBuilder, DeleteBuilder, WaitForShutdown
from bakehouse.bake.image_operators import CreateImage, LabelImage
from bakehouse.bake.need import NeedBake
from bakehouse.bake.plan_operators import PlanBake, ResolveCommit
from bakehouse.core.tasks import Flow, task_ids
from bakehouse.promote.operators import PromoteImage
from bakehouse.smoke.operators import SmokeTest

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

RETRIES = 2
PATIENCE = 250  # seconds for one trigger
STATES: dict[str, str] = {}  # of the runs that have ended
TASK_IDS = task_ids(Flow.BAKE)
CHAIN = TASK_IDS[: TASK_IDS.index("promote_image") + 1]


def steps(recipe: str) -> dict[str, BaseOperator]:
    """One operator for each step."""
    common: dict[str, Any] = {"sla": timedelta(hours=1), "retries": RETRIES}
    made: list[BaseOperator] = [
        ResolveCommit(task_id="resolve_commit", recipe=recipe, **common),
        PlanBake(task_id="plan_bake", recipe=recipe, **common),
        NeedBake(task_id="need_bake", **common),
        CreateBuilder(task_id="create_builder", **common),
        WaitForShutdown(task_id="wait_for_shutdown", **common),
        CreateImage(task_id="create_image", **common),
        LabelImage(task_id="label_image", **common),
        SmokeTest(task_id="smoke_test", **common),
        PromoteImage(task_id="promote_image", **common),
        DeleteBuilder(task_id="delete_builder", **common),
    ]
    return {step.task_id: step for step in made}


class Walk:
    """One DAG run: what its steps hand on, and how often each was tried and cleared."""

    def __init__(
        self,
        recipe: str,
        run_id: str,
        run_type: str = "manual",
        night: datetime | None = None,
        partition: str | None = None,
        **params: Any,
    ) -> None:
        self.dag_id, self.run_id = f"bake__{recipe}", run_id
        self.steps = steps(recipe)
        self.params = {"git_ref": "HEAD", "force": False, "vars": {}} | params
        self.handed: dict[str, Any] = {}
        self.tries: dict[str, int] = {}
        self.max_tries: dict[str, int] = {}
        self.deferred: list[TaskDeferred] = []
        self.run = SimpleNamespace(
            dag_id=self.dag_id,
            run_id=run_id,
            run_type=DagRunType(run_type),
            run_after=datetime.now(UTC) + timedelta(seconds=5),
            data_interval_end=night,
            partition_key=partition,
            partition_date=None,
        )

    def try_(self, task_id: str) -> Any:
        """The next try of a task; what it hands on is kept."""
        self.tries[task_id] = self.tries.get(task_id, 0) + 1
        step, context = self.steps[task_id], self._context(task_id)
        value = perform(step, context, self.deferred)
        self.handed[task_id] = json.loads(json.dumps(value))  # an XCom is JSON
        return value

    def through(self, last: str, first: str = "resolve_commit") -> Any:
        """The first try of each step from `first` to `last`."""
        value = None
        for task_id in CHAIN[CHAIN.index(first) : CHAIN.index(last) + 1]:
            value = self.try_(task_id)
        return value

    def clear(self, *task_ids: str) -> None:
        """What Airflow does when somebody clears them: the tries of a new round count on."""
        for task_id in task_ids:
            self.max_tries[task_id] = self.tries.get(task_id, 0) + RETRIES
            self.handed.pop(task_id, None)

    def tear_down(self) -> None:
        """`delete_builder`, as it follows any end."""
        self.try_("delete_builder")
        STATES[self.run_id] = "success"

    def _context(self, task_id: str) -> Any:
        ti = SimpleNamespace(
            dag_id=self.dag_id,
            run_id=self.run_id,
            task_id=task_id,
            try_number=self.tries[task_id],
            max_tries=self.max_tries.get(task_id, RETRIES),
            xcom_pull=lambda task_ids: self.handed.get(task_ids),
            xcom_push=lambda **_: None,  # what the run's note shows
            get_dagrun_state=lambda _, run_id: STATES.get(run_id, "running"),
        )
        task = SimpleNamespace(get_direct_relatives=lambda **_: [], retries=RETRIES)
        return {"ti": ti, "dag_run": self.run, "params": self.params, "task": task}


def perform(step: BaseOperator, context: Any, deferred: list[TaskDeferred]) -> Any:
    """One try of a task, with the first event of each trigger that it waits for."""
    with bakehouse_errors():
        try:
            return step.execute(context)
        except TaskDeferred as first:
            deferred.append(first)
        while True:
            waits = deferred[-1]
            kwargs = {**(waits.kwargs or {}), "event": asyncio.run(_first_event(waits))}
            try:
                return step.resume_execution(waits.method_name, kwargs, context)
            except TaskDeferred as again:
                deferred.append(again)


async def _first_event(waits: TaskDeferred) -> Any:
    trigger: Any = waits.trigger
    kind, arguments = trigger.serialize()  # what a triggerer starts from
    assert kind == f"{type(trigger).__module__}.{type(trigger).__qualname__}"
    events = type(trigger)(**arguments).run()
    async with contextlib.aclosing(events):
        return (await asyncio.wait_for(anext(events), timeout=PATIENCE)).payload
