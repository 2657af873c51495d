"""Waiting for a builder to power off."""

from __future__ import annotations

from bakehouse.bake.packages import manifest_of
from bakehouse.bake.shutdown import classify_shutdown
from bakehouse.cloud.machine_observation import MachineObservation
from bakehouse.cloud.triggers import MachineTrigger


class ShutdownTrigger(MachineTrigger):
    """Until the classify_shutdown knows how the builder ended."""

    def settled(self, observed: MachineObservation) -> bool:
        """The verdict itself is given, and explained, by the task."""
        return classify_shutdown(observed) is not None

    def told_all(self, observed: MachineObservation) -> bool:
        """A line that another process has written into cannot be read."""
        return observed.result == "failed" or (
            observed.result == "ok" and manifest_of(observed) is not None
        )
