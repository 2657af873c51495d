"""The trigger that waits for the report of a smoke test."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from bakehouse.cloud.triggers import MachineTrigger
from bakehouse.smoke.evaluation import evaluate_smoke_test

if TYPE_CHECKING:
    from bakehouse.cloud.machine_observation import MachineObservation


class SmokeTrigger(MachineTrigger):
    """Waits until the VM has reported, or its deadline has passed."""

    def settled(self, observed: MachineObservation) -> bool:
        """Whether there is a result; the task reports it."""
        return evaluate_smoke_test(observed, boot_time_limit=timedelta.max) is not None
