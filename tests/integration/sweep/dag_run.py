"""One run of a DAG in this process: its own tasks, order, retries and XComs, as Airflow has them.

What a scheduler, a worker and a triggerer do is done here one after the other: a try that raises an
error which may pass is followed by the next one, up to the task's retries and without the wait that
the retry policy asks for; a task that defers is resumed by the first event of its trigger, which is
made from what it serialises, by another copy of the operator. XComs are JSON.
"""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk import TriggerRule
from airflow.sdk.api.datamodels._generated import DagRunType
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.sdk.definitions.retry_policy import RetryAction
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowSkipException,
    TaskDeferred,
)

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from airflow.sdk import DAG, BaseOperator
    from airflow.triggers.base import TriggerEvent

PATIENCE = 120  # seconds for one trigger
TASK_FAILS = "__fail__"  # where Airflow resumes a task whose trigger has failed
ENDED_BADLY = {"failed", "upstream_failed"}


@dataclass(frozen=True)
class Instance:
    """A task, or one of a mapped task's instances."""

    task_id: str
    index: int = -1

    @property
    def key(self) -> str:
        """As Airflow names it among the states of a run's tasks."""
        return self.task_id if self.index < 0 else f"{self.task_id}_{self.index}"


class DagRun:
    """One run; `states` and `tries` by task instance, `errors` of the tries that failed."""

    def __init__(
        self,
        dag: DAG,
        run_id: str,
        loop: asyncio.Runner,
        params: Mapping[str, Any],
        begins: Callable[[str], object] = lambda _: None,
        ends: Callable[[str], object] = lambda _: None,
    ) -> None:
        """Prepare it. `begins` is called before the first try of a task, `ends` behind its last."""
        self.dag, self.run_id, self._loop = dag, run_id, loop
        self.params = {name: param.value for name, param in dag.params.items()} | dict(params)
        self._begins, self._ends = begins, ends
        self.states: dict[str, str | None] = {}
        self.tries: dict[str, int] = {}
        self.errors: dict[str, list[str]] = defaultdict(list)
        self.others: dict[str, str] = {}  # the states of other runs, if they do not run any more
        self.xcoms: dict[tuple[str, int, str], Any] = {}
        self._lengths: dict[str, int] = {}
        self._run = SimpleNamespace(
            dag_id=dag.dag_id,
            run_id=run_id,
            clear_number=0,
            run_type=DagRunType.MANUAL,
            run_after=datetime.now(UTC),
            data_interval_end=None,
            partition_key=None,
            partition_date=None,
        )

    def complete(self, without: frozenset[str] = frozenset({"sla_watch"})) -> None:
        """Every task, in the order of the DAG."""
        for task in self.dag.topological_sort():
            if task.task_id not in without:
                self._task(task)

    @property
    def state(self) -> str:
        """As the leaves say; a teardown that may fail the run counts as well."""
        leaves = [t for t in self.dag.tasks if not t.downstream_task_ids or t.is_teardown]
        ended = [state for task in leaves for state in self._states_of(task.task_id)]
        return "failed" if ENDED_BADLY & set(ended) else "success"

    def explain(self) -> str:
        """The errors of every task that had one."""
        return "\n".join(
            f"{key} ({self.states.get(key)}): {error}"
            for key, errors in self.errors.items()
            for error in errors
        )

    # -- the scheduler --

    def _task(self, task: Any) -> None:
        state = _decide(task, {up: self._states_of(up) for up in task.upstream_task_ids}, self.dag)
        if state is not None:
            self.states[task.task_id] = state
            return
        if not isinstance(task, MappedOperator):
            self._instance(Instance(task.task_id), task)
            return
        expanded: Any = task.expand_input.value
        ((argument, source),) = expanded.items()
        values = self.xcoms[source.operator.task_id, -1, "return_value"]
        self._lengths[task.task_id] = len(values)
        if not values:
            self.states[task.task_id] = "skipped"
        for index, value in enumerate(values):
            self._instance(Instance(task.task_id, index), task.unmap({argument: value}))

    def _instance(self, instance: Instance, task: Any) -> None:
        self._begins(instance.key)
        self.states[instance.key] = None
        while self.states[instance.key] is None:
            self.states[instance.key] = self._try(instance, task)
        self._ends(instance.key)

    def _states_of(self, task_id: str) -> list[str | None]:
        count = self._lengths.get(task_id, 0)
        keys = [Instance(task_id, index).key for index in range(count)] or [task_id]
        return [self.states.get(key) for key in keys]

    # -- the worker --

    def _try(self, instance: Instance, task: Any) -> str | None:
        """The state that it ends in; None if it is tried again."""
        self.tries[instance.key] = number = self.tries.get(instance.key, 0) + 1
        for known in [k for k in self.xcoms if k[:2] == (instance.task_id, instance.index)]:
            del self.xcoms[known]
        context = self._context(instance, task)
        try:
            value = self._execute(task, context)
        except AirflowSkipException:
            return "skipped"
        except Exception as error:
            self.errors[instance.key].append(f"{type(error.__cause__ or error).__name__}: {error}")
            final = isinstance(error, AirflowFailException) or number > (task.retries or 0)
            decision = task.retry_policy.evaluate(error, number, task.retries, context)
            return "failed" if final or decision.action is RetryAction.FAIL else None
        self.xcoms[instance.task_id, instance.index, "return_value"] = _json(value)
        return "success"

    def _execute(self, task: Any, context: Any) -> Any:
        copy = _copy(task, context)
        try:
            return copy.execute(context)
        except TaskDeferred as deferred:
            waits = deferred
        while True:
            then, kwargs = self._event(waits)
            try:
                return _copy(task, context).resume_execution(then, kwargs, context)
            except TaskDeferred as deferred:
                waits = deferred

    def _context(self, instance: Instance, task: Any) -> Any:
        ti = SimpleNamespace(
            dag_id=self.dag.dag_id,
            run_id=self.run_id,
            task_id=instance.task_id,
            map_index=instance.index,
            try_number=self.tries[instance.key],
            max_tries=task.retries,
            xcom_pull=self._pull,
            xcom_push=lambda key, value: self.xcoms.update(
                {(instance.task_id, instance.index, key): _json(value)}
            ),
            get_dagrun_state=lambda _, run_id: self.others.get(run_id, "running"),
            get_task_states=lambda **_: {self.run_id: dict(self.states)},
        )
        return {
            "ti": ti,
            "task": task,
            "dag": self.dag,
            "dag_run": self._run,
            "params": self.params,
            "outlet_events": defaultdict(_OutletEvent),
            "asset_state_store": defaultdict(_Store),
        }

    def _pull(
        self, task_ids: str, key: str = "return_value", map_indexes: list[int] | None = None
    ) -> Any:
        if map_indexes is None:  # of a mapped task all
            of_task = {i: v for (t, i, k), v in self.xcoms.items() if (t, k) == (task_ids, key)}
            return of_task[-1] if -1 in of_task else list(of_task.values()) or None
        found = (self.xcoms.get((task_ids, index, key)) for index in map_indexes)
        return [value for value in found if value is not None]

    # -- the triggerer --

    def _event(self, waits: TaskDeferred) -> tuple[str, dict[str, Any]]:
        """What the task is resumed with: method and arguments."""
        kwargs = _json(waits.kwargs or {})
        path, arguments = waits.trigger.serialize()
        if isinstance(waits.trigger, DateTimeTrigger):
            return waits.method_name, {**kwargs, "event": str(arguments["moment"])}
        kind = type(waits.trigger)
        assert path == f"{kind.__module__}.{kind.__qualname__}"
        try:
            payload = self._loop.run(_first_event(kind(**_json(arguments))))
        except TimeoutError:
            raise
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            return TASK_FAILS, {"error": "Trigger failure", "traceback": [text], **kwargs}
        return waits.method_name, {**kwargs, "event": _json(payload)}


class _OutletEvent:
    def __init__(self) -> None:
        self.extra: dict[str, Any] = {}
        self.partitions: list[str] = []

    def add_partitions(self, *keys: str) -> None:
        self.partitions += keys


class _Store:
    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def set(self, key: str, value: Any) -> None:
        self.values[key] = _json(value)


def _decide(task: Any, upstream: Mapping[str, list[str | None]], dag: DAG) -> str | None:
    """The state that the task gets without being run; None if it is run."""
    states = {state for found in upstream.values() for state in found}
    if task.is_teardown:
        setups = {
            state for up, found in upstream.items() if dag.get_task(up).is_setup for state in found
        }
        if not setups or "success" in setups:
            return None
        return "upstream_failed" if ENDED_BADLY & setups else "skipped"
    if task.trigger_rule == TriggerRule.ALL_DONE:
        return None
    if ENDED_BADLY & states:
        return "upstream_failed"
    if task.trigger_rule == TriggerRule.NONE_FAILED:
        return None
    assert task.trigger_rule == TriggerRule.ALL_SUCCESS, task.trigger_rule
    return "skipped" if "skipped" in states else None


def _copy(task: BaseOperator, context: Any) -> Any:
    """As a worker has it: every start of it finds the operator as the DAG's file has made it."""
    copy: Any = task.prepare_for_execution()
    copy.render_template_fields(context)
    return copy


async def _first_event(trigger: Any) -> Any:
    import asyncio

    async with contextlib.aclosing(trigger.run()) as events:
        event: TriggerEvent = await asyncio.wait_for(anext(events), timeout=PATIENCE)
        return event.payload


def _json(value: Any) -> Any:
    return json.loads(json.dumps(value))
