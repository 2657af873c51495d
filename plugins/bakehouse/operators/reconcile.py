"""What a task does next, as its `reconcile` returns it.

A task reads the current state, does the next missing step, and returns what to wait for; then it
starts again. So it may be killed at any point and repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow.triggers.base import BaseTrigger
    from pydantic import BaseModel

Ask = Callable[[], Mapping[str, Any] | None]
"""Requests one change; its operation, or None if there is nothing to change."""

Continuation = TypeVar("Continuation", bound=Callable[..., Any])


@dataclass(frozen=True)
class Done:
    """The task has succeeded; `value` becomes its XCom."""

    value: Any = None


@dataclass(frozen=True)
class Again:
    """Reconcile again, at once."""


@dataclass(frozen=True)
class WaitForOperation:
    """Continue with the method `then` when this operation has succeeded; fail with its error.

    `then` is marked `@resumed_by(OperationEnded)`; without one the task reconciles again.
    """

    operation: Mapping[str, Any]
    doing: str  # such as "create web-1 in us-central1-a"
    then: str = "operation_ended"


@dataclass(frozen=True)
class WaitFor:
    """Defer; the method `then` continues with the event. The trigger has its own deadline."""

    trigger: BaseTrigger
    then: str
    timeout: timedelta


Wait = WaitForOperation | WaitFor
Next = Done | Again | Wait


def wait_for(
    operation: Mapping[str, Any] | None, doing: str, then: str = WaitForOperation.then
) -> WaitForOperation | None:
    """Return the wait for an operation; None without an operation."""
    return None if operation is None else WaitForOperation(operation, doing, then)


def resumed_by(event: type[BaseModel]) -> Callable[[Continuation], Continuation]:
    """Mark a method `(context, event) -> Next` as the continuation for such events."""

    def mark(method: Continuation) -> Continuation:
        method.event_model = event  # type: ignore[attr-defined]
        return method

    return mark
