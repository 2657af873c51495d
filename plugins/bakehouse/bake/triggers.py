"""Waiting for a builder to power off."""

from __future__ import annotations

from bakehouse.bake.packages import manifest_of
from bakehouse.bake.shutdown import judge
from bakehouse.cloud.facts import Facts
from bakehouse.cloud.triggers import MachineTrigger


class ShutdownTrigger(MachineTrigger):
    """Until the judge knows how the builder ended."""

    def settled(self, facts: Facts) -> bool:
        """The verdict itself is given, and explained, by the task."""
        return judge(facts) is not None

    def told_all(self, facts: Facts) -> bool:
        """A line that another process has written into cannot be read."""
        return facts.result == "failed" or (facts.result == "ok" and manifest_of(facts) is not None)
