"""The events of the triggers that watch Compute Engine. Pure: operators import them when parsed."""

from __future__ import annotations

from typing import Any

from bakehouse.cloud.machine_observation import MachineObservation
from bakehouse.core.models import Frozen


class OperationEnded(Frozen):
    """The event of `OperationTrigger`; `operation` is None if it does not exist any more."""

    doing: str
    operation: dict[str, Any] | None
    late: bool = False  # the deadline has passed


class MachineSettled(Frozen):
    """The event of a `MachineTrigger`: the last observation of the VM."""

    observed: MachineObservation
