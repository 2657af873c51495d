"""The state of an operation of Compute Engine. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bakehouse.cloud.errors import Answer, of_operation

Resource = Mapping[str, Any]


@dataclass(frozen=True)
class Ended:
    """A finished operation; `failure` is None if it succeeded."""

    name: str
    failure: Answer | None = None
    warnings: tuple[str, ...] = ()


def end_of(operation: Resource) -> Ended | None:
    """Return how it ended; None while it runs."""
    if operation.get("status") != "DONE":
        return None
    warnings = tuple(str(w.get("message", "")) for w in operation.get("warnings") or [])
    return Ended(str(operation["name"]), of_operation(operation), warnings)


@dataclass(frozen=True)
class InstanceEvent:
    """An operation on an instance, by a user or by Compute Engine."""

    kind: str  # operationType: stop, delete, compute.instances.preempted, ...
    by: str = ""
    error: str = ""  # why it failed, when it did


def instance_events(operations: Iterable[Resource], instance: str) -> tuple[InstanceEvent, ...]:
    """Return the operations on this instance, newest first."""
    tail = f"/instances/{instance}"
    return tuple(
        InstanceEvent(str(op.get("operationType", "")), str(op.get("user", "")), _failure(op))
        for op in operations
        if str(op.get("targetLink", "")).endswith(tail)
    )


def _failure(operation: Resource) -> str:
    ended = end_of(operation)
    return ended.failure.message if ended and ended.failure else ""
