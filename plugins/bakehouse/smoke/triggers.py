"""Waiting for a candidate to prove itself."""

from __future__ import annotations

from datetime import timedelta

from bakehouse.cloud.machine_observation import MachineObservation
from bakehouse.cloud.triggers import MachineTrigger
from bakehouse.smoke.evaluation import evaluate_smoke_test


class SmokeTrigger(MachineTrigger):
    """Until the machine has reported, or its deadline has passed."""

    def settled(self, observed: MachineObservation) -> bool:
        """The verdict itself is given, and explained, by the task."""
        return evaluate_smoke_test(observed, boot_time_limit=timedelta.max) is not None
