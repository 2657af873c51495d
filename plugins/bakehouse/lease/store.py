"""The location of leases: in the ledger's store."""

from __future__ import annotations

from bakehouse.lease.lease import Lease


def lease_of(ledger: str, name: str) -> Lease:
    """Return the lease `name` below the ledger's URL, which may name a connection."""
    from airflow.sdk import ObjectStoragePath

    folder = ObjectStoragePath(ledger) / "leases" / name
    return Lease(folder.fs, folder.path)


def lease_name(fleet: str) -> str:
    """Return the name of a fleet's lease, the same for all rollouts."""
    return f"fleet-{fleet}"


def content_lease_name(recipe: str, content_key: str) -> str:
    """Return the name of a content's lease: two runs never bake the same content at a time."""
    return f"bake-{recipe}/{content_key}"


def builder_slots(ledger: str, project: str, limit: int) -> dict[int, Lease]:
    """Return the builder slots of a project by their number, from 1.

    Slots above the limit are included if they exist from an earlier, higher limit: a run may still
    hold one.
    """
    from airflow.sdk import ObjectStoragePath

    folder = ObjectStoragePath(ledger) / "leases" / f"builders-{project}"
    known = {int(path.name[5:]) for path in folder.iterdir()} if folder.exists() else set()
    numbers = sorted(known | set(range(1, limit + 1)))
    return {n: lease_of(ledger, f"builders-{project}/slot-{n:03d}") for n in numbers}
