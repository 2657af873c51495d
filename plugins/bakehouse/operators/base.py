"""The base of all operators: SLA, connection, waits, and Bakehouse's errors as Airflow's own."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

from airflow.sdk import BaseOperator
from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR
from airflow.sdk.exceptions import (
    AirflowSensorTimeout,
    TaskDeferralTimeout,
)
from pydantic import BaseModel, Field

from bakehouse.cloud.events import OperationEnded
from bakehouse.cloud.operations import end_of
from bakehouse.cloud.request_id import request_id
from bakehouse.core.errors import (
    FAILURES,
    FINAL,
    Blocked,
    OutcomeUnknown,
    PermanentError,
    TransientError,
    ZoneUnavailable,
)
from bakehouse.core.models import Frozen
from bakehouse.core.time import format_utc
from bakehouse.images.links import zone_of
from bakehouse.operators.airflow_errors import (
    as_airflow_errors,
    keeping_the_reason,
    trigger_failure,
)
from bakehouse.operators.reconcile import Again, Done, Next, WaitFor, WaitForOperation, resumed_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from airflow.sdk import Context

    from bakehouse.cloud.compute_hook import ComputeHook
    from bakehouse.cloud.image_client import ImageClient
    from bakehouse.core.run_params import RunParams
    from bakehouse.operators.reconcile import Ask

Model = TypeVar("Model", bound=BaseModel)
Params = TypeVar("Params", bound="RunParams")


BLOCKED_AT_MOST = timedelta(hours=2)
LOOK_AGAIN = 30.0  # seconds after a call that was not answered
OPERATION_AT_MOST = timedelta(minutes=20)
MOST_ROUNDS = 50  # of `reconcile` without a wait: more of them is an error of ours


class TryMemory(Frozen):
    """What a try of a task keeps across its deferrals."""

    blocked_count: int = 0  # a refused change is sent again under another requestId
    blocked_since: datetime | None = None
    settled: dict[str, int] = Field(
        default={}, description="how often the operation of a change has succeeded, by its words"
    )
    concluded: str = Field(
        default="",
        description="what this try has found out: an error that may pass is waited out, since the"
        " next try would have to find it out anew",
    )
    pages: dict[str, str] = Field(default={}, description="what the links of the task lead to")


class BakehouseOperator(BaseOperator):
    """Base of all operators. A subclass implements `reconcile`.

    Args:
        sla: The time from the run's start within which the task should have succeeded. Airflow 3
            has no such argument; the SLA watcher reads the attribute.
        own_sla: Whether a recipe or fleet sets it: then it has a row in Browse → Deadlines.
        gcp_conn_id: The Google Cloud connection.
        **kwargs: The arguments of `BaseOperator`.
    """

    Memory: ClassVar[type[TryMemory]] = TryMemory
    try_costs_a_machine: ClassVar[bool] = False  # so that a read without an answer is waited out

    def __init__(
        self,
        *,
        sla: timedelta,
        own_sla: bool = False,
        gcp_conn_id: str = "google_cloud_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if sla <= timedelta(0):
            raise ValueError(f"{self.task_id}: an SLA of {sla} cannot be met")
        self.sla = sla
        self.own_sla = own_sla
        self.gcp_conn_id = gcp_conn_id
        self.memory = self.Memory()

    def reconcile(self, context: Context) -> Next:  # ruff: ignore[unused-method-argument]  subclasses read it
        """Read the current state, do the next missing step, and return what comes next."""
        raise TypeError(f"{type(self).__name__} does not implement reconcile")

    def recover(self, context: Context, error: ZoneUnavailable) -> Again:  # ruff: ignore[unused-method-argument]  subclasses read it
        """Return what comes next when a zone is unavailable, for operators with several zones."""
        raise error

    # -- what a subclass uses --

    @property
    def compute(self) -> ComputeHook:
        """The hook; it is imported only when a task runs, to keep DAG parsing fast."""
        from bakehouse.cloud.compute_hook import hook_of

        return hook_of(self.gcp_conn_id)

    def image_client(self, kind: str) -> ImageClient:
        """Return the calls for the kind of image of a recipe."""
        from bakehouse.cloud.image_client import image_client

        return image_client(self.compute, kind)

    @property
    def pages(self) -> Mapping[str, str]:
        """The addresses of this task's links."""
        return self.memory.pages

    def link_machine(self, zone: str, name: str) -> None:
        """Point the task's links to this VM."""
        machine, serial = (self.compute.instance_page, self.compute.serial_page)
        self._link(machine=machine(zone, name), serial=serial(zone, name))

    def link_image(self, name: str, project: str | None = None, kind: str = "") -> None:
        """Point the task's link to this image."""
        self._link(image=self.compute.image_page(name, project, kind))

    def remember(self, **changes: Any) -> None:
        """Keep these values across the deferrals of this try."""
        self.memory = self.memory.model_copy(update=changes)

    def params_of(self, context: Context, model: type[Params]) -> Params:
        """Return the params of the run.

        Raises:
            PermanentError: `conf` has unknown keys, or a value is not valid.
        """
        given = getattr(context["dag_run"], "conf", None)
        return model.of_run(context["params"], given)

    def request_id(self, context: Context, step: str, of: str = "") -> str:
        """Return the request id of one change, the same for all attempts of this try.

        Another try needs another id: Compute Engine would answer the old one with the old, failed
        operation. So does a change that is called what its wait says it is doing, and whose
        operation has succeeded: somebody has undone it since.
        """
        ti = context["ti"]
        whole = f"{step} {of}" if of else step
        part = f"{whole}, try {ti.try_number}, turn {self.memory.blocked_count}"
        if again := self.memory.settled.get(step):
            part += f", again {again}"
        return request_id(f"{ti.dag_id}/{ti.run_id}", self.task_id, part)

    def received(self, context: Context, task_id: str, model: type[Model]) -> Model:
        """Return the XCom of an earlier task as a model.

        Raises:
            PermanentError: The task returned none.
        """
        return model.model_validate(_xcom(context, task_id))

    def received_list(self, context: Context, task_id: str, model: type[Model]) -> list[Model]:
        """Return the XCom of an earlier task, a list, as models.

        Raises:
            PermanentError: The task returned none.
        """
        return [model.model_validate(item) for item in _xcom(context, task_id)]

    def unfinished(self, wait: WaitForOperation | None) -> WaitForOperation | None:
        """Return the wait, unless its operation has ended already; raise the error of a failed one.

        A loop over resources passes by those whose deletion has ended, since a list may show them
        for a moment longer, and would be waited for again and again.
        """
        if wait is None or self._has_succeeded(wait.operation, wait.doing):
            return None
        return wait

    def has_ended(self, wait: WaitForOperation) -> bool:
        """Whether the operation has succeeded, or is unknown; raise the error of a failed one."""
        operation = self._state_of(wait.operation)
        return operation is None or self._has_succeeded(operation, wait.doing)

    def request_deletion(self, context: Context, zone: str, name: str) -> None:
        """Request the deletion of a VM whose run deletes it in any case, at the latest in its end.

        So a refusal is logged, and never hides what the task is about to say of the VM.
        """
        self.log.info("deleting %s in %s", name, zone)
        try:
            self.compute.delete_instance(zone, name, self.request_id(context, f"delete {name}"))
        except (Blocked, *FAILURES) as error:
            self.log.warning("%s; the run's teardown deletes it", error)

    def carry_out(self, *steps: Iterable[tuple[str, Ask]]) -> WaitForOperation | None:
        """Request all changes of a step, then wait for each; one that is refused stops no other.

        `reconcile` follows each wait, and asks again for what does not stand yet: with the
        requestId of this try, which Compute Engine answers with the operation that it has. The next
        try asks anew for what was refused or has failed.

        Args:
            steps: A step is read, and begins, when the operations of the one before have ended.

        Returns:
            The next wait, or None when all has been carried out.

        Raises:
            TransientError: Some were refused or have failed, and nothing is left to wait for.
        """
        refused: list[str] = []
        for step in steps:
            wait = self._request_all(step, refused)
            if wait is not None:
                return wait
        if refused:
            raise TransientError(f"{len(refused)} were refused: {'; '.join(refused)}")
        return None

    # -- Airflow's side --

    def execute(self, context: Context) -> Any:
        """Call `reconcile` until it is done; defer while there is something to wait for."""
        with keeping_the_reason(context), as_airflow_errors():
            return self._run(context, lambda: self.reconcile(context))

    def resume_execution(
        self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context
    ) -> Any:
        """Resume with the continuation of the wait."""
        kwargs = dict(next_kwargs or {})
        told, model = kwargs.get("event"), _event_model(self, next_method)
        memory = kwargs.pop("memory", {})
        if isinstance(told, dict) and "memory" in told:
            memory = told["memory"] or memory
            kwargs["event"] = model.model_validate(told["event"]) if model else told["event"]
        self.memory = self.Memory.model_validate(memory)
        told_before = self.memory.pages
        resume: Callable[..., Any] = super().resume_execution
        if next_method == TRIGGER_FAIL_REPR:
            resume = self._after_failed_trigger
        with keeping_the_reason(context), as_airflow_errors():
            try:
                return self._run(context, lambda: resume(next_method, kwargs, context))
            except (TaskDeferralTimeout, AirflowSensorTimeout) as late:
                raise TransientError(f"the deferral timed out: {late}") from late
            finally:
                if self.memory.pages == told_before:
                    # Airflow stores each link at the end of every process of a try, and keeps what
                    # the one before has stored: two requests less of each task
                    self.operator_extra_links = ()

    def trigger_failed(self, context: Context, error: Exception) -> Next:  # ruff: ignore[unused-method-argument]  subclasses read it
        """Return what comes next after a wait that has failed: by default, its error."""
        raise error

    def _after_failed_trigger(self, _: str, kwargs: Mapping[str, Any], context: Context) -> Next:
        return self.trigger_failed(context, trigger_failure(kwargs))

    def unblocked(self, context: Context, event: Any = None) -> Next:  # ruff: ignore[unused-method-argument]  Airflow passes both
        """Try again after having been blocked."""
        return Again()

    @resumed_by(OperationEnded)
    def operation_ended(self, context: Context, event: OperationEnded) -> Next:  # ruff: ignore[unused-method-argument]  Airflow passes both
        """Reconcile again after an operation."""
        self.require_success(event)
        return Again()

    def require_success(self, event: OperationEnded) -> None:
        """Raise the error of an operation that has failed, or has not ended in time."""
        if event.late:
            raise TransientError(f"{event.doing}: not finished after {OPERATION_AT_MOST}")
        if event.operation is not None:
            self._has_succeeded(event.operation, event.doing)
        count = self.memory.settled.get(event.doing, 0) + 1
        self.remember(settled={**self.memory.settled, event.doing: count})

    def _run(self, context: Context, first: Callable[[], Next]) -> Any:
        work = first
        for _ in range(MOST_ROUNDS):
            step: Next
            try:
                step = work()
                while isinstance(step, WaitForOperation):
                    step = self._after_operation(context, step)
            except Blocked as blocked:
                self._wait_until_unblocked(blocked)
            except (TransientError, OutcomeUnknown) as error:
                if not self._outlasts(error):
                    raise
                self._wait_until_unblocked(Blocked(str(error), LOOK_AGAIN))
            except FINAL as error:
                found = self.memory.concluded
                if found in str(error):
                    raise
                raise PermanentError(f"{found}\n{error}") from error
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

    def _outlasts(self, error: TransientError | OutcomeUnknown) -> bool:
        """Whether this try waits for the error to pass, since the next one would begin anew.

        A change without an answer is looked for by its call, so OutcomeUnknown is of a read.
        """
        unread = self.try_costs_a_machine and isinstance(error, OutcomeUnknown)
        return unread or bool(self.memory.concluded)

    def _state_of(self, operation: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the operation as it is now; None if Compute Engine does not know it any more."""
        if end_of(operation) is not None:
            return operation
        return self.compute.operation(zone_of(operation) or None, str(operation["name"]))

    def _after_operation(self, context: Context, step: WaitForOperation) -> Next:
        """Continue at once after an operation that has ended; else wait in a trigger."""
        operation = self._state_of(step.operation)
        if operation is None or end_of(operation) is not None:
            known = dict(operation) if operation is not None else None
            ended = OperationEnded(doing=step.doing, operation=known)
            following: Next = getattr(self, step.then)(context, ended)
            return following
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
        return WaitFor(trigger, step.then, 2 * OPERATION_AT_MOST)

    def _request_all(
        self, asked: Iterable[tuple[str, Ask]], refused: list[str]
    ) -> WaitForOperation | None:
        begun: list[WaitForOperation] = []
        for doing, ask in asked:
            try:
                operation = ask()
            except FAILURES as error:
                refused.append(str(error))
            else:
                begun += [WaitForOperation(operation, doing)] if operation is not None else []
        for wait in begun:
            try:
                if not self.has_ended(wait):
                    return wait
            except FAILURES as error:
                refused.append(str(error))
        return None

    def _has_succeeded(self, operation: Mapping[str, Any], doing: str) -> bool:
        """Whether it has succeeded; False while it runs; raise the error of a failed one."""
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


def is_backfill(context: Context) -> bool:
    """Whether the run is of a backfill, which changes no family and no fleet and notifies nobody.

    `run_type` is an enum whose `str()` is its name, not its value.
    """
    kind = context["dag_run"].run_type
    return bool(getattr(kind, "value", kind) == "backfill")


def rolls_out(context: Context) -> bool:
    """Whether the bake's form requests rollouts, in this run or in that of the parent's image."""
    told = context.get("triggering_asset_events") or {}
    events = [event.extra or {} for asset in told for event in told[asset]]
    here = context["params"].get("roll_out", True)
    return bool(here) and all(extra.get("roll_out", True) for extra in events)


def _xcom(context: Context, task_id: str) -> Any:
    value = context["ti"].xcom_pull(task_ids=task_id)
    if value is None:
        raise PermanentError(f"{task_id} returned no XCom: clear {task_id} and downstream")
    return value


def _event_model(operator: BaseOperator, method: str) -> type[BaseModel] | None:
    found: type[BaseModel] | None = getattr(getattr(operator, method, None), "event_model", None)
    return found
