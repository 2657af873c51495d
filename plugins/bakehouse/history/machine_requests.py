"""Which runs have asked for a machine: `<ledger>/machines/<run>`, and since when that is complete.

A run's record is written before its first slot and its first insert, and is never deleted. So a run
without one has no machine, whatever was killed or cleared: only a run that may have started before
`<ledger>/machines/since` is not known. That moment is written once, by the first who asks: a new
ledger, one that was emptied, and an earlier version that wrote no records prove nothing. See
docs/decisions/0084-a-teardown-that-asks-for-nothing.md.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow.sdk import ObjectStoragePath

from bakehouse.history.objects import create
from bakehouse.history.shared_reads import CLOCKS_DIFFER

if TYPE_CHECKING:
    from bakehouse.images.provenance import Provenance


class MachineRequests:
    """The records below the ledger's URL."""

    def __init__(self, ledger: str) -> None:
        self._folder = ObjectStoragePath(ledger) / "machines"

    def record(self, made_by: Provenance) -> None:
        """Record that this run may have machines from now on. Idempotent."""
        self._begin()
        with suppress(FileExistsError):
            create(self._folder / made_by.run, f"{made_by.made_by}\n".encode())

    def rule_out(self, run: str, run_after: datetime) -> bool:
        """Whether this run has never asked for a machine; False where that is not known.

        Args:
            run: The value of the run's label.
            run_after: The moment before which Airflow did not start it, however often it was
                cleared since.
        """
        self._begin()
        try:
            since = datetime.fromisoformat(self._since.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return False
        if since.tzinfo is None or run_after < since + CLOCKS_DIFFER:
            return False
        try:
            (self._folder / run).read_bytes()  # a store may answer `exists` from a list it has kept
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return False

    @property
    def _since(self) -> ObjectStoragePath:
        return self._folder / "since"

    def _begin(self) -> None:
        with suppress(FileExistsError):
            create(self._since, datetime.now(UTC).isoformat().encode())
