"""Runs the tasks of a bake in this process: the operators of the DAG, in its order.

What Airflow gives a task (its context, the XComs of earlier tasks, the event of a trigger) is held
in memory. A task that fails in a way that may pass is tried once more, at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred

from bakehouse.core.tasks import Flow, task_spec
from bakehouse.dag_factory.tasks import make_task, task_arguments
from bakehouse.images.names import run_label
from bakehouse.local.operators import KeepImage
from bakehouse.local.runs import lives
from bakehouse.local.task_ids import KEEP_IMAGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import BaseOperator

    from bakehouse.local.places import Places
    from bakehouse.local.runs import LocalRun
    from bakehouse.recipe.model import Recipe

TRIES = 2
OF_A_RECIPE = frozenset({"resolve_commit", "plan_bake"})  # operators that are told its name


class Steps:
    """The tasks of one run, and what they have returned.

    Args:
        places: Where this computer's runs are known.
        run: The run.
        recipe: Its recipe.
        connection: To Compute Engine.
        params: The answers of the bake's form.
    """

    def __init__(
        self,
        places: Places,
        run: LocalRun,
        recipe: Recipe,
        connection: str,
        params: dict[str, Any],
    ) -> None:
        self._places, self.of_run, self._recipe = places, run, recipe
        self._connection, self._params = connection, params
        self.returned: dict[str, Any] = {}
        self._dag_run = SimpleNamespace(
            dag_id=run.dag_id,
            run_id=run.run_id,
            run_type="manual",
            run_after=datetime.now(UTC),
            data_interval_end=None,
            partition_key=None,
            partition_date=None,
            conf=None,
        )

    def run(self, task_id: str, beside: Callable[[], Any] | None = None) -> Any:
        """Run a task, and return its XCom. Raises Airflow's exception of a failed task.

        Args:
            task_id: A task of the bake's DAG, or KEEP_IMAGE.
            beside: Returns a coroutine that runs while the task waits.
        """
        for number in range(1, TRIES + 1):
            operator = self._operator(task_id)
            try:
                value = self._perform(operator, self._context(operator, number), beside)
            except AirflowFailException:
                raise
            except AirflowException as error:
                if number == TRIES:
                    raise
                operator.log.warning("%s; trying once more", str(error).partition("\n")[0])
            else:
                self.returned[task_id] = json.loads(json.dumps(value))  # an XCom is JSON
                return value
        raise AssertionError(task_id)

    def _operator(self, task_id: str) -> BaseOperator:
        of_all: dict[str, Any] = {"gcp_conn_id": self._connection}
        if task_id == KEEP_IMAGE:
            like = task_arguments(task_spec(Flow.BAKE, "label_image"), self._recipe)
            return KeepImage(**{**like, **of_all, "task_id": task_id})
        own: dict[str, Any] = {"recipe": self._recipe.name} if task_id in OF_A_RECIPE else {}
        return make_task(Flow.BAKE, task_id, overrides=self._recipe, **own, **of_all)

    def _context(self, operator: BaseOperator, number: int) -> Any:
        def state_of(dag_id: str, run_id: str) -> str:
            return "running" if lives(self._places, run_label(dag_id, run_id)) else "failed"

        ti = SimpleNamespace(
            dag_id=self.of_run.dag_id,
            run_id=self.of_run.run_id,
            task_id=operator.task_id,
            map_index=-1,
            try_number=number,
            max_tries=operator.retries,
            xcom_pull=lambda task_ids: self.returned.get(task_ids),
            xcom_push=lambda **_: None,  # the reason of a failure, which the caller shows
            get_dagrun_state=state_of,
        )
        task = SimpleNamespace(get_direct_relatives=lambda **_: [], retries=operator.retries)
        return {"ti": ti, "dag_run": self._dag_run, "params": self._params, "task": task}

    def _perform(
        self, operator: BaseOperator, context: Any, beside: Callable[[], Any] | None
    ) -> Any:
        try:
            return operator.execute(context)
        except TaskDeferred as deferred:
            waits = deferred
        while True:
            event = asyncio.run(_event_of(waits, beside))
            kwargs = {**(waits.kwargs or {}), "event": event}
            try:
                return operator.resume_execution(waits.method_name, kwargs, context)
            except TaskDeferred as again:
                waits = again


async def _event_of(waits: TaskDeferred, beside: Callable[[], Any] | None) -> Any:
    """Run the trigger until its first event, as a triggerer does."""
    given: Any = waits.trigger
    trigger = type(given)(**given.serialize()[1])
    companion = asyncio.create_task(beside()) if beside else None
    seconds = waits.timeout.total_seconds() if waits.timeout else None
    try:
        async with contextlib.aclosing(trigger.run()) as events:
            return (await asyncio.wait_for(anext(events), seconds)).payload
    finally:
        if companion is not None:
            companion.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await companion
