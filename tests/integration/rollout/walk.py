"""Walks a rollout's tasks as Airflow would, against a localgce, without Airflow's processes."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow.sdk.api.datamodels._generated import DagRunType
from airflow.sdk.exceptions import AirflowSkipException
from tests.integration.bake.walk import perform

from bakehouse.core.errors import FINAL
from bakehouse.core.tasks import Flow
from bakehouse.dag_factory.tasks import operator_of, spec_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import BaseOperator
    from airflow.sdk.exceptions import TaskDeferred

    from bakehouse.fleet.model import Fleet

GROUP = "replace_instances"
RETRIES = 1


class Rollout:
    """One run: the states of its tasks, what they hand on, and the errors that they end with."""

    def __init__(self, fleet: Fleet, run_id: str, image: str = "") -> None:
        self.fleet, self.run_id, self.image = fleet, run_id, image
        self.members: list[str] = []
        self.force = False
        self.on_push: Callable[[str, Any], None] = lambda _key, _value: None
        self.tries_before = 0  # of each task: somebody has killed its worker
        self.params: dict[str, Any] = {}
        self.dag_id = f"roll_out__{fleet.name}"
        self.states: dict[str, str | None] = {}
        self.errors: dict[str, Exception] = {}
        self.xcoms: dict[tuple[str, int, str], Any] = {}
        self.deferred: list[TaskDeferred] = []
        self.run = SimpleNamespace(
            run_type=DagRunType("manual"), run_after=datetime.now(UTC), data_interval_end=None
        )

    def choose(self) -> str | None:
        """The choice of the image alone; the state of its task."""
        self._task("choose_image", image=self.image)
        return self.states["choose_image"]

    def begin(self) -> None:
        """From the choice of the image to the plan."""
        self.choose()
        self._task("acquire_lease")
        self._task("plan")

    def stage(self, number: int) -> None:
        """One stage: its members one after the other, then the check of it."""
        if self._failed():
            return
        self.replace(number)
        if not self._failed():
            self.verify(number)

    def replace(self, number: int) -> None:
        """The members of a stage."""
        self._task(f"select_members_{number}", stage=number)
        self._mapped(f"replace_{number}", f"select_members_{number}")

    def replace_again(self, number: int) -> None:
        """Another try of the members of a stage, whose tasks were killed."""
        self._mapped(f"replace_{number}", f"select_members_{number}")

    def select(self, number: int) -> None:
        """The choice of a stage's members alone."""
        self._task(f"select_members_{number}", stage=number)

    def replace_one(self, number: int, index: int) -> None:
        """One member of a stage that was chosen."""
        swap = self.xcom(f"select_members_{number}")[index]
        self._task(f"replace_{number}", index, swap=swap)

    def verify(self, number: int) -> None:
        """The check of a stage."""
        self._task(f"verify_stage_{number}", stage=number)

    def plan_rollback(self) -> None:
        """Behind all stages, whatever became of them."""
        self._task("plan_rollback")

    def roll_back(self) -> None:
        """The members of the plan, one by one."""
        self._mapped("roll_back", "plan_rollback")

    def verdict(self) -> str | None:
        """The last task; the state of the run."""
        self._task("verdict")
        return self.states["verdict"]

    def through(self) -> str | None:
        """All of it."""
        self.begin()
        for number in range(1, len(self.fleet.stages) + 1):
            self.stage(number)
        self.plan_rollback()
        self.roll_back()
        return self.verdict()

    def xcom(self, task: str, key: str = "return_value", index: int = -1) -> Any:
        return self.xcoms.get((f"{GROUP}.{task}", index, key))

    def _failed(self) -> bool:
        return "failed" in self.states.values()

    def _mapped(self, task: str, source: str) -> None:
        swaps = self.xcom(source) or []
        for index, swap in enumerate(swaps):
            self._task(task, index, swap=swap)
        if not swaps:
            self.states[task] = "skipped"

    def _operator(self, task: str) -> type[BaseOperator]:
        """The operator that the DAG of the fleet has for this task."""
        spec = re.sub(r"_\d+$", "", task)
        return operator_of(spec_of(Flow.ROLLOUT, spec, of_group=self.fleet.strategy == "mig"))

    def _task(self, task: str, index: int = -1, **arguments: Any) -> None:
        """Every try of one task."""
        kind = self._operator(task)
        task_id = f"{GROUP}.{task}"
        name = task if index < 0 else f"{task}_{index}"
        for try_number in range(1, RETRIES + 2):
            step = kind(
                task_id=task_id,
                fleet=self.fleet,
                sla=timedelta(hours=1),
                retries=RETRIES,
                **arguments,
            )
            context = self._context(task_id, index, self.tries_before + try_number)
            self.states[name] = "running"
            try:
                value = perform(step, context, self.deferred)
            except AirflowSkipException:
                self.states[name] = "skipped"
                return
            except Exception as error:
                self.states[name], self.errors[name] = "failed", error
                if isinstance(error, FINAL):
                    return
            else:
                self.states[name] = "success"
                self.errors.pop(name, None)
                self.xcoms[task_id, index, "return_value"] = json.loads(json.dumps(value))
                return

    def _context(self, task_id: str, index: int, try_number: int) -> Any:
        def push(key: str, value: Any) -> None:
            self.xcoms[task_id, index, key] = json.loads(json.dumps(value))
            self.on_push(key, value)

        def pull(task_ids: str, key: str = "return_value", map_indexes: Any = None) -> Any:
            if map_indexes is None and (task_ids, -1, key) in self.xcoms:
                return self.xcoms[task_ids, -1, key]
            if map_indexes is None:
                of_task = (v for (t, _, k), v in self.xcoms.items() if (t, k) == (task_ids, key))
                return [*of_task] or None
            return [self.xcoms.get((task_ids, number, key)) for number in map_indexes]

        ti = SimpleNamespace(
            dag_id=self.dag_id,
            run_id=self.run_id,
            task_id=task_id,
            map_index=index,
            try_number=try_number,
            max_tries=RETRIES,
            xcom_push=push,
            xcom_pull=pull,
            get_task_states=lambda **_: {
                self.run_id: {f"{GROUP}.{task}": state for task, state in self.states.items()}
            },
            get_dagrun_state=lambda *_: "success",
        )
        return {
            "ti": ti,
            "dag_run": self.run,
            "task": SimpleNamespace(get_flat_relatives=lambda **_: []),  # they skip themselves
            "params": {
                "members": self.members,
                "roll_out": True,
                "force": self.force,
                **self.params,
            },
        }
