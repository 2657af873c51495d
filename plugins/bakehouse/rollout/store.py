"""Where leases are: in the ledger's store."""

from __future__ import annotations

from bakehouse.rollout.lease import Lease


def lease_of(ledger: str, name: str) -> Lease:
    """The lease `name` below the ledger's URL (a connection may stand in it, as for the ledger)."""
    from airflow.sdk import ObjectStoragePath

    folder = ObjectStoragePath(ledger) / "leases" / name
    return Lease(folder.fs, folder.path)


def lease_name(fleet: str) -> str:
    """One lease for each fleet, whatever the way into it."""
    return f"fleet-{fleet}"
