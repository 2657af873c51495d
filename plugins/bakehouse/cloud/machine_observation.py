"""The observation of a VM, which classifications are made from. Pure."""

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
    """One observation of a VM, sent from the trigger to the operator as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    status: str | None = None  # of the instance; None when it is not there
    said: tuple[dict[str, Any], ...] = ()  # the guest's structured lines, in order
    attributes: dict[str, str] = {}  # guest attributes below bakehouse/
    instance_events: tuple[InstanceEvent, ...] = ()  # what was done to it, newest first
    tail: tuple[str, ...] = ()  # its last serial lines
    late: bool = False  # the deadline has passed
    power_on: str = ""  # when it was started last, as Compute Engine writes times
    off: str = ""  # when it had stopped; empty while it runs

    @property
    def alive(self) -> bool:
        """Whether it is running, starting or stopping."""
        return self.status in ALIVE

    def last(self, key: str) -> Any:
        """Return the newest value of a key in structured serial lines, else None."""
        return next((line[key] for line in reversed(self.said) if key in line), None)

    @property
    def result(self) -> str | None:
        """`ok` or `failed` of the serial lines; guest attributes are read separately."""
        value = self.last("result")
        return value if value in {"ok", "failed"} else None

    def with_tail(self, what: str) -> str:
        """Return an error text with the VM's last serial lines below it."""
        if not self.tail:
            return what
        return "\n".join([what, f"The last {len(self.tail)} lines of {self.name}:", *self.tail])
