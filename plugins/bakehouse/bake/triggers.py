"""The trigger that waits until a builder has powered off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.bake.packages import manifest_of
from bakehouse.bake.shutdown import classify_shutdown
from bakehouse.cloud.triggers import MachineTrigger

if TYPE_CHECKING:
    from bakehouse.cloud.machine_observation import MachineObservation


class ShutdownTrigger(MachineTrigger):
    """Waits until `classify_shutdown` returns a result."""

    def settled(self, observed: MachineObservation) -> bool:
        """Whether there is a result; the task reports it."""
        return classify_shutdown(observed) is not None

    def told_all(self, observed: MachineObservation) -> bool:
        """Whether the serial lines have result and manifest; a garbled line does not count."""
        return observed.result == "failed" or (
            observed.result == "ok" and manifest_of(observed) is not None
        )
