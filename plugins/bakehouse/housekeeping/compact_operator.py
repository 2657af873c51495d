"""Put the ledger's records of closed days into segments, which readers take in place of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bakehouse.housekeeping.inventory_operator import InventoryOperator
from bakehouse.operators.reconcile import Done, Next

if TYPE_CHECKING:
    from airflow.sdk import Context


class CompactLedger(InventoryOperator):
    """Writes one segment for each month that has new records -> Compacted."""

    def reconcile(self, context: Context) -> Next:
        """Compact, unless the run is a dry one. Idempotent."""
        from bakehouse.history.compaction import compact
        from bakehouse.history.location import ledger_url

        self.refuse_dry_run(context, "a dry run writes no segment")
        done = compact(ledger_url(), datetime.now(UTC))
        for month, count in done.records.items():
            self.log.info("%s: %d records are in one segment", month, count)
        added = "%d records were in no segment before; removed %d segments and late copies"
        self.log.info(added, done.added, done.removed)
        return Done(done.model_dump(mode="json"))
