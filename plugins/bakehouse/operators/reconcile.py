"""What a task does next, as its `reconcile` returns it.

A task looks at what stands, does the one thing that is missing, and says what to wait for; then it
looks again. So it may be killed anywhere, and repeated as often as Airflow likes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow.triggers.base import BaseTrigger
    from pydantic import BaseModel

Continuation = TypeVar("Continuation", bound=Callable[..., Any])


@dataclass(frozen=True)
class Done:
    """The task has succeeded; `value` becomes its XCom."""

    value: Any = None


@dataclass(frozen=True)
class Again:
    """Something has changed: reconcile once more, at once."""


@dataclass(frozen=True)
class WaitForOperation:
    """Reconcile once more when this operation has succeeded; fail as it fails."""

    operation: Mapping[str, Any]
    doing: str  # such as "create web-1 in us-central1-a"


@dataclass(frozen=True)
class WaitFor:
    """Defer; the method `then` goes on with the trigger's event. The timeout is a backstop only."""

    trigger: BaseTrigger
    then: str
    timeout: timedelta


Wait = WaitForOperation | WaitFor
Next = Done | Again | Wait


def wait_for(operation: Mapping[str, Any] | None, doing: str) -> WaitForOperation | None:
    """The wait for an operation; None when there is none, as what was asked for stands already."""
    return None if operation is None else WaitForOperation(operation, doing)


def resumed_by(event: type[BaseModel]) -> Callable[[Continuation], Continuation]:
    """Mark a method `(context, event) -> Next` as what goes on after a trigger with such events."""

    def mark(method: Continuation) -> Continuation:
        method.event_model = event  # type: ignore[attr-defined]
        return method

    return mark
