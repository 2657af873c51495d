"""Waiting for a candidate to prove itself."""

from __future__ import annotations

from datetime import timedelta

from bakehouse.cloud.facts import Facts
from bakehouse.cloud.triggers import MachineTrigger
from bakehouse.smoke.verdict import judge


class SmokeTrigger(MachineTrigger):
    """Until the machine has reported, or its deadline has passed."""

    def settled(self, facts: Facts) -> bool:
        """The verdict itself is given, and explained, by the task."""
        return judge(facts, boot_time_limit=timedelta.max) is not None
