"""Create operators from the table of tasks."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from bakehouse.core.tasks import Flow, TaskSpec, task_spec
from bakehouse.operators.retries import retry_arguments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import BaseOperator

# Of a worker at a time; a wait has its own deadline, in its trigger.
EXECUTION_TIMEOUT = timedelta(minutes=15)


class Overrides(Protocol):
    """A file that may set a task's SLA and retries: a recipe or a fleet."""

    @property
    def sla(self) -> Mapping[str, timedelta]:
        """The SLAs that the file sets, by task."""

    def sla_of(self, task_id: str) -> timedelta:
        """Return the file's own value, else the table's."""

    def retries_of(self, task_id: str) -> int:
        """Return the file's own value, else the table's."""


def make_task(
    flow: Flow,
    task_id: str,
    *,
    overrides: Overrides | None = None,
    number: int | None = None,
    of_group: bool = False,
    **arguments: Any,
) -> BaseOperator:
    """Create the operator of a task; `arguments` are the operator's own."""
    spec = spec_of(flow, task_id, of_group=of_group)
    return operator_of(spec)(**task_arguments(spec, overrides, number=number), **arguments)


def spec_of(flow: Flow, task_id: str, *, of_group: bool = False) -> TaskSpec:
    """Return the row of a task; `of_group` for a fleet that is a managed instance group."""
    spec = task_spec(flow, task_id)
    if not of_group or spec.of_group is None:
        return spec
    return replace(spec, operator=spec.of_group.operator, docs=spec.of_group.docs)


def task_arguments(
    spec: TaskSpec, overrides: Overrides | None = None, *, number: int | None = None
) -> dict[str, Any]:
    """Return the arguments of every task: retries, time limit, priority, SLA and documentation.

    Args:
        spec: the row of the table.
        overrides: the file whose `sla` and `retries` come before the table's.
        number: of a rollout's stage, behind the id of each of its tasks.
    """
    return {
        "task_id": f"{spec.id}_{number}" if number else spec.id,
        "retries": overrides.retries_of(spec.id) if overrides else spec.retries,
        **retry_arguments(spec.kind),
        "execution_timeout": EXECUTION_TIMEOUT,
        "priority_weight": spec.priority,
        "weight_rule": "absolute",
        "sla": overrides.sla_of(spec.id) if overrides else spec.sla,
        "own_sla": overrides is not None and spec.id in overrides.sla,
        "doc_md": spec.docs,
    }


@cache
def operator_of(spec: TaskSpec) -> type[BaseOperator]:
    """Import the class that the table names."""
    module, _, name = spec.operator.partition(":")
    operator: type[BaseOperator] = getattr(import_module(module), name)
    return operator
