"""Show which members of the fleets do not run the newest promoted image."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bakehouse.housekeeping.drift import Drift, drift
from bakehouse.housekeeping.inventory_operator import InventoryOperator
from bakehouse.inventory.listing import read_own_inventory
from bakehouse.operators.reconcile import Done, Next

if TYPE_CHECKING:
    from airflow.sdk import Context


class ShowDrift(InventoryOperator):
    """Lists members that do not run the newest promoted image -> [Drift]."""

    def reconcile(self, context: Context) -> Next:
        """Compare each fleet with its newest promoted image."""
        from bakehouse.housekeeping.record import record_drift

        only = self.only(context)
        inventory = read_own_inventory(self.compute, machine_images=False)
        found: list[Drift] = []
        for fleet in self.fleets:
            if only in {"", fleet.recipe}:
                seen = drift(fleet, inventory, datetime.now(UTC))
                self._log_drift(seen)
                record_drift(context, fleet.recipe, seen)
                found.append(seen)
        return Done([seen.model_dump(mode="json") for seen in found])

    def _log_drift(self, seen: Drift) -> None:
        count = f"{seen.on_newest} of {seen.on_newest + len(seen.behind)} members"
        self.log.info("%s: %s on the newest image, %s", seen.fleet, count, seen.newest or "none")
        for member in seen.behind:
            age = "which was deleted" if member.age_days is None else f"{member.age_days} days old"
            self.log.warning("%s: %s runs %s, %s", seen.fleet, member.name, member.image, age)
