"""What is known of a machine that Bakehouse waits for: the only thing its judges look at. Pure."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from bakehouse.cloud.operations import InstanceEvent

UNKNOWN = "UNKNOWN"  # no answer yet: taken for alive until the deadline
ALIVE = frozenset(
    {"PROVISIONING", "STAGING", "RUNNING", "STOPPING", "PENDING_STOP", "REPAIRING", UNKNOWN}
)
TAIL_LINES = 50


class MachineObservation(BaseModel):
    """One look at a machine; travels from the trigger to the operator as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    status: str | None = None  # of the instance; None when it is not there
    said: tuple[dict[str, Any], ...] = ()  # the guest's structured lines, in order
    attributes: dict[str, str] = {}  # guest attributes below bakehouse/
    instance_events: tuple[InstanceEvent, ...] = ()  # what was done to it, newest first
    tail: tuple[str, ...] = ()  # its last serial lines
    late: bool = False  # the deadline has passed

    @property
    def alive(self) -> bool:
        """It runs, or is on its way up or down."""
        return self.status in ALIVE

    def last(self, key: str) -> Any:
        """The newest value that a structured line gave for a key, else None."""
        return next((line[key] for line in reversed(self.said) if key in line), None)

    @property
    def result(self) -> str | None:
        """`ok` or `failed`, said by serial line; the attributes are the judge's own to read."""
        value = self.last("result")
        return value if value in {"ok", "failed"} else None

    def with_tail(self, what: str) -> str:
        """The error of a task: what went wrong, and below it the last lines of the machine."""
        if not self.tail:
            return what
        return "\n".join([what, f"The last {len(self.tail)} lines of {self.name}:", *self.tail])
