"""What every step of Bakehouse shares: its SLA, its connection, and what it does when blocked."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSensorTimeout, TaskDeferralTimeout
from pydantic import BaseModel

from bakehouse.cloud.operations import end_of
from bakehouse.cloud.request_id import request_id
from bakehouse.core.errors import Blocked, PermanentError, TransientError
from bakehouse.images.links import zone_of

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.triggers.base import BaseTrigger

    from bakehouse.cloud.compute_hook import ComputeHook
    from bakehouse.cloud.image_client import ImageClient

Model = TypeVar("Model", bound=BaseModel)

BLOCKED_AT_MOST = timedelta(hours=2)
OPERATION_AT_MOST = timedelta(minutes=20)


def format_utc(moment: datetime) -> str:
    """A moment as a log shows it."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def is_backfill(context: Context) -> bool:
    """A backfill rebuilds the past: it moves no family and no fleet, and tells nobody.

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


class BakehouseOperator(BaseOperator):
    """Base of all operators. A subclass implements `act`, and may defer with `wait_for`.

    :param sla: from the run's start, within which the task should have succeeded; Airflow 3 drops
        the argument of that name, so it is an attribute of ours, read by the SLA watcher.
    :param gcp_conn_id: the Google Cloud connection.
    """

    # attributes that outlive a wait within one try
    keeps: ClassVar[tuple[str, ...]] = ("turn", "blocked_since", "pages")

    def __init__(
        self, *, sla: timedelta, gcp_conn_id: str = "google_cloud_default", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if sla <= timedelta(0):
            raise ValueError(f"{self.task_id}: an SLA of {sla} cannot be met")
        self.sla = sla
        self.gcp_conn_id = gcp_conn_id
        self.turn = 0  # how often this try has been blocked, for a fresh requestId after each
        self.blocked_since = ""
        self.pages: dict[str, str] = {}  # what this try has made, for the links

    def act(self, context: Context) -> Any:
        """The step's own work."""
        raise TypeError(f"{type(self).__name__} does nothing")

    @property
    def compute(self) -> ComputeHook:
        """Compute Engine; imported only when a task runs, it would slow down every parse."""
        from bakehouse.cloud.compute_hook import hook_of

        return hook_of(self.gcp_conn_id)

    def shows_machine(self, zone: str, name: str) -> None:
        """Let the task's links lead to this machine."""
        self.pages["machine"] = self.compute.instance_page(zone, name)
        self.pages["serial"] = self.compute.serial_page(zone, name)

    def shows_image(self, name: str, project: str | None = None, kind: str = "") -> None:
        """Let the task's link lead to this image."""
        self.pages["image"] = self.compute.image_page(name, project, kind)

    def made(self, kind: str) -> ImageClient:
        """The images of a recipe, by the kind that it makes."""
        from bakehouse.cloud.image_client import image_client

        return image_client(self.compute, kind)

    def execute(self, context: Context) -> Any:
        """`act`, waiting deferred as long as it is blocked."""
        return self._unless_blocked(context, lambda: self.act(context))

    def resume_execution(
        self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context
    ) -> Any:
        """The same for whatever goes on after a wait."""
        kwargs = dict(next_kwargs or {})
        event = kwargs.get("event")
        kwargs |= event.pop("kept", {}) if isinstance(event, dict) else {}
        for name in self.keeps:
            setattr(self, name, kwargs.pop(name, getattr(self, name)))
        resume = super().resume_execution
        try:
            return self._unless_blocked(context, lambda: resume(next_method, kwargs, context))
        except (TaskDeferralTimeout, AirflowSensorTimeout) as late:
            raise TransientError(f"nothing came of waiting: {late}") from late

    def unblocked(self, context: Context, event: Any = None) -> Any:
        """Ask again after having been blocked."""
        return self.act(context)

    def wait_for(
        self, trigger: BaseTrigger, method: str, timeout: timedelta, **kwargs: Any
    ) -> NoReturn:
        """Defer; `method(context, event, **kwargs)` goes on. The timeout is a backstop only."""
        kept = {**kwargs, **{name: getattr(self, name) for name in self.keeps}}
        if hasattr(trigger, "kept"):
            trigger.kept = kept
        self.defer(trigger=trigger, method_name=method, kwargs=kept, timeout=timeout)

    def await_operation(self, operation: Mapping[str, Any] | None, doing: str) -> None:
        """Return when it has succeeded (None: nothing to wait for); else defer and `act` again.

        So `act` looks at what stands and does the next missing thing, however often it is called.
        """
        if operation is None:
            return
        zone, name = zone_of(operation) or None, str(operation["name"])
        now = operation if end_of(operation) else self.compute.operation(zone, name)
        if now is None or self._succeeded(now, doing):
            return
        from bakehouse.cloud.triggers import OperationTrigger

        deadline = time.time() + OPERATION_AT_MOST.total_seconds()
        trigger = OperationTrigger(
            conn_id=self.gcp_conn_id, zone=zone, name=name, deadline=deadline
        )
        self.log.info("%s: waiting for operation %s", doing, name)
        self.wait_for(trigger, "go_on", timeout=2 * OPERATION_AT_MOST, doing=doing)

    def go_on(self, context: Context, event: dict[str, Any], doing: str) -> Any:
        """After an operation: the next missing thing."""
        operation = event["operation"]
        if event.get("late"):
            raise TransientError(f"{doing}: still not done after {OPERATION_AT_MOST}")
        if operation is not None:
            self._succeeded(operation, doing)
        return self.act(context)

    def _succeeded(self, operation: Mapping[str, Any], doing: str) -> bool:
        """False while it runs; raises one of the three errors when it failed."""
        ended = end_of(operation)
        if ended is None:
            return False
        if ended.failure is not None:
            raise ended.failure.error(doing)
        for warning in ended.warnings:
            self.log.warning("%s: %s", doing, warning)
        return True

    def request_id(self, context: Context, step: str) -> str:
        """The requestId of one change, the same however often this try sends it.

        Another try looks first at what stands, and needs another id: Compute Engine would answer
        the old one with the old, failed operation.
        """
        ti = context["ti"]
        part = f"{step}, try {ti.try_number}, turn {self.turn}"
        return request_id(f"{ti.dag_id}/{ti.run_id}", self.task_id, part)

    def received(self, context: Context, task_id: str, model: type[Model]) -> Model:
        """What an earlier task handed on."""
        value = context["ti"].xcom_pull(task_ids=task_id)
        if value is None:
            raise PermanentError(f"{task_id} has handed nothing on: clear {task_id} and downstream")
        return model.model_validate(value)

    def _unless_blocked(self, context: Context, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except Blocked as blocked:
            return self._wait_until_unblocked(blocked)

    def _wait_until_unblocked(self, blocked: Blocked) -> NoReturn:
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        now = datetime.now(UTC)
        self.blocked_since = self.blocked_since or now.isoformat()
        until = datetime.fromisoformat(self.blocked_since) + BLOCKED_AT_MOST
        if now >= until:
            raise TransientError(
                f"blocked for {BLOCKED_AT_MOST}: {blocked}", blocked.wait
            ) from blocked
        self.turn += 1
        self.log.warning(
            "not now: %s; asking again in %.0f s, until %s", blocked, blocked.wait, until
        )
        moment = now + timedelta(seconds=blocked.wait)
        self.wait_for(DateTimeTrigger(moment=moment), "unblocked", timeout=BLOCKED_AT_MOST)
