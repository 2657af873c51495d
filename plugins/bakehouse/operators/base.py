"""The base of all operators: SLA, connection, waits, and Bakehouse's errors as Airflow's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    TaskDeferralTimeout,
)
from pydantic import BaseModel, Field

from bakehouse.cloud.events import OperationEnded
from bakehouse.cloud.operations import end_of
from bakehouse.cloud.request_id import request_id
from bakehouse.core.errors import (
    FINAL,
    RETRYABLE,
    Blocked,
    PermanentError,
    TransientError,
    ZoneUnavailable,
)
from bakehouse.core.models import Frozen
from bakehouse.core.time import format_utc
from bakehouse.images.links import zone_of
from bakehouse.operators.reconcile import Again, Done, Next, WaitFor, WaitForOperation, resumed_by

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bakehouse.cloud.compute_hook import ComputeHook
    from bakehouse.cloud.image_client import ImageClient

Model = TypeVar("Model", bound=BaseModel)

BLOCKED_AT_MOST = timedelta(hours=2)
OPERATION_AT_MOST = timedelta(minutes=20)
MOST_ROUNDS = 50  # of `reconcile` without a wait: more of them is an error of ours


class TryMemory(Frozen):
    """What one try of a task remembers across its waits."""

    blocked_count: int = 0  # a refused change is sent again under another requestId
    blocked_since: datetime | None = None
    pages: dict[str, str] = Field(default={}, description="what the links of the task lead to")


class BakehouseOperator(BaseOperator):
    """Base of all operators. A subclass implements `reconcile`.

    Args:
        sla: From the run's start, within which the task should have succeeded. Airflow 3 drops the
            argument of that name, so it is an attribute of ours, read by the SLA watcher.
        gcp_conn_id: The Google Cloud connection.
        **kwargs: Of `BaseOperator`.
    """

    Memory: ClassVar[type[TryMemory]] = TryMemory

    def __init__(
        self, *, sla: timedelta, gcp_conn_id: str = "google_cloud_default", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if sla <= timedelta(0):
            raise ValueError(f"{self.task_id}: an SLA of {sla} cannot be met")
        self.sla = sla
        self.gcp_conn_id = gcp_conn_id
        self.memory = self.Memory()

    def reconcile(self, context: Context) -> Next:
        """Look at what stands, do the next missing thing, say what comes next."""
        raise TypeError(f"{type(self).__name__} does not implement reconcile")

    def recover(self, context: Context, error: ZoneUnavailable) -> Again:
        """What comes next when a zone is unavailable: an operator with several zones has one."""
        raise error

    # -- what a subclass uses --

    @property
    def compute(self) -> ComputeHook:
        """Compute Engine; imported only when a task runs, it would slow down every parse."""
        from bakehouse.cloud.compute_hook import hook_of

        return hook_of(self.gcp_conn_id)

    def image_client(self, kind: str) -> ImageClient:
        """The calls for images of the kind that a recipe makes."""
        from bakehouse.cloud.image_client import image_client

        return image_client(self.compute, kind)

    @property
    def pages(self) -> Mapping[str, str]:
        """Where the links of this task lead."""
        return self.memory.pages

    def link_machine(self, zone: str, name: str) -> None:
        """Let the task's links lead to this machine."""
        machine, serial = (self.compute.instance_page, self.compute.serial_page)
        self._link(machine=machine(zone, name), serial=serial(zone, name))

    def link_image(self, name: str, project: str | None = None, kind: str = "") -> None:
        """Let the task's link lead to this image."""
        self._link(image=self.compute.image_page(name, project, kind))

    def remember(self, **changes: Any) -> None:
        """Keep these values across the waits of this try."""
        self.memory = self.memory.model_copy(update=changes)

    def request_id(self, context: Context, step: str) -> str:
        """The requestId of one change, the same however often this try sends it.

        Another try looks first at what stands, and needs another id: Compute Engine would answer
        the old one with the old, failed operation.
        """
        ti = context["ti"]
        part = f"{step}, try {ti.try_number}, turn {self.memory.blocked_count}"
        return request_id(f"{ti.dag_id}/{ti.run_id}", self.task_id, part)

    def received(self, context: Context, task_id: str, model: type[Model]) -> Model:
        """The XCom of an earlier task as the model that it is of.

        Raises:
            PermanentError: The task returned none.
        """
        value = context["ti"].xcom_pull(task_ids=task_id)
        if value is None:
            raise PermanentError(f"{task_id} returned no XCom: clear {task_id} and downstream")
        return model.model_validate(value)

    def has_ended(self, wait: WaitForOperation) -> bool:
        """Whether the operation has succeeded, or is forgotten; raises what its failure means."""
        operation = wait.operation
        if end_of(operation) is None:
            zone, name = zone_of(operation) or None, str(operation["name"])
            now = self.compute.operation(zone, name)
            if now is None:
                return True
            operation = now
        return self._has_succeeded(operation, wait.doing)

    # -- Airflow's side --

    def execute(self, context: Context) -> Any:
        """`reconcile` until it is done, deferred while there is something to wait for."""
        with as_airflow_errors():
            return self._run(context, lambda: self.reconcile(context))

    def resume_execution(
        self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context
    ) -> Any:
        """The same from the continuation that the wait was for."""
        kwargs = dict(next_kwargs or {})
        told, model = kwargs.get("event"), _event_model(self, next_method)
        memory = kwargs.pop("memory", {})
        if isinstance(told, dict) and "memory" in told:
            memory = told["memory"] or memory
            kwargs["event"] = model.model_validate(told["event"]) if model else told["event"]
        self.memory = self.Memory.model_validate(memory)
        resume = super().resume_execution
        with as_airflow_errors():
            try:
                return self._run(context, lambda: resume(next_method, kwargs, context))
            except (TaskDeferralTimeout, AirflowSensorTimeout) as late:
                raise TransientError(f"the deferral timed out: {late}") from late

    def unblocked(self, context: Context, event: Any = None) -> Next:
        """Ask again after having been blocked."""
        return Again()

    @resumed_by(OperationEnded)
    def operation_ended(self, context: Context, event: OperationEnded) -> Next:
        """After an operation: the next missing thing."""
        if event.late:
            raise TransientError(f"{event.doing}: not finished after {OPERATION_AT_MOST}")
        if event.operation is not None:
            self._has_succeeded(event.operation, event.doing)
        return Again()

    def _run(self, context: Context, first: Callable[[], Next]) -> Any:
        work = first
        for _ in range(MOST_ROUNDS):
            step: Done | Again | WaitFor
            try:
                step = self._advance(work())
            except Blocked as blocked:
                self._wait_until_unblocked(blocked)
            except ZoneUnavailable as error:
                step = self.recover(context, error)
            if isinstance(step, Done):
                return step.value
            if isinstance(step, WaitFor):
                self._defer(step)
            work = lambda: self.reconcile(context)  # ruff: ignore[lambda-assignment]
        raise TransientError(
            f"{self.task_id} did not finish within {MOST_ROUNDS} rounds of reconcile"
        )

    def _advance(self, step: Next) -> Done | Again | WaitFor:
        """An operation that has ended is no wait; for another one there is a trigger."""
        if not isinstance(step, WaitForOperation):
            return step
        if self.has_ended(step):
            return Again()
        from bakehouse.cloud.triggers import OperationTrigger

        zone, name = zone_of(step.operation) or None, str(step.operation["name"])
        self.log.info("%s: waiting for operation %s", step.doing, name)
        trigger = OperationTrigger(
            conn_id=self.gcp_conn_id,
            zone=zone,
            name=name,
            doing=step.doing,
            deadline=time.time() + OPERATION_AT_MOST.total_seconds(),
        )
        return WaitFor(trigger, "operation_ended", 2 * OPERATION_AT_MOST)

    def _has_succeeded(self, operation: Mapping[str, Any], doing: str) -> bool:
        """False while it runs; raises what its failure means."""
        ended = end_of(operation)
        if ended is None:
            return False
        if ended.failure is not None:
            raise ended.failure.error(doing)
        for warning in ended.warnings:
            self.log.warning("%s: %s", doing, warning)
        return True

    def _wait_until_unblocked(self, blocked: Blocked) -> NoReturn:
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        now = datetime.now(UTC)
        since = self.memory.blocked_since or now
        until = since + BLOCKED_AT_MOST
        if now >= until:
            message = f"blocked for {BLOCKED_AT_MOST}: {blocked}"
            raise TransientError(message, blocked.wait) from blocked
        self.remember(blocked_since=since, blocked_count=self.memory.blocked_count + 1)
        self.log.warning(
            "blocked: %s; trying again in %.0f s, until %s",
            blocked,
            blocked.wait,
            format_utc(until),
        )
        moment = now + timedelta(seconds=blocked.wait)
        self._defer(WaitFor(DateTimeTrigger(moment=moment), "unblocked", BLOCKED_AT_MOST))

    def _defer(self, wait: WaitFor) -> NoReturn:
        memory = self.memory.model_dump(mode="json")
        if hasattr(wait.trigger, "memory"):
            wait.trigger.memory = memory
        self.defer(
            trigger=wait.trigger,
            method_name=wait.then,
            kwargs={"memory": memory},
            timeout=wait.timeout,
        )

    def _link(self, **pages: str) -> None:
        self.remember(pages={**self.memory.pages, **pages})


@contextmanager
def as_airflow_errors() -> Generator[None]:
    """Translates the errors of Bakehouse, which know no Airflow; the cause stays on the exception.

    Raises:
        AirflowFailException: For what no try can heal.
        AirflowException: For what another try may heal; the retry policy reads its cause.
    """
    try:
        yield
    except FINAL as error:
        raise AirflowFailException(str(error)) from error
    except RETRYABLE as error:
        raise AirflowException(str(error)) from error


def is_backfill(context: Context) -> bool:
    """A backfill rebuilds the past: it moves no family and no fleet, and notifies nobody.

    `run_type` is an enum whose `str()` is its name, not its value.
    """
    kind = context["dag_run"].run_type
    return bool(getattr(kind, "value", kind) == "backfill")


def rolls_out(context: Context) -> bool:
    """The form of the bake says so: here, or in the event of the image that this run follows."""
    told = context.get("triggering_asset_events") or {}
    events = [event.extra or {} for asset in told for event in told[asset]]
    here = context["params"].get("roll_out", True)
    return bool(here) and all(extra.get("roll_out", True) for extra in events)


def _event_model(operator: BaseOperator, method: str) -> type[BaseModel] | None:
    found: type[BaseModel] | None = getattr(getattr(operator, method, None), "event_model", None)
    return found
