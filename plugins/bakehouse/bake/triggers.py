"""Waiting for a builder to power off."""

from __future__ import annotations

from bakehouse.bake.shutdown import judge
from bakehouse.cloud.facts import Facts
from bakehouse.cloud.triggers import MachineTrigger


class ShutdownTrigger(MachineTrigger):
    """Until the judge knows how the builder ended."""

    needs = ("result", "manifest")

    def settled(self, facts: Facts) -> bool:
        """The verdict itself is given, and explained, by the task."""
        return judge(facts) is not None
