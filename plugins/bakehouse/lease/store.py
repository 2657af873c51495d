"""Where leases are: in the ledger's store."""

from __future__ import annotations

from bakehouse.lease.lease import Lease


def lease_of(ledger: str, name: str) -> Lease:
    """The lease `name` below the ledger's URL (a connection may stand in it, as for the ledger)."""
    from airflow.sdk import ObjectStoragePath

    folder = ObjectStoragePath(ledger) / "leases" / name
    return Lease(folder.fs, folder.path)


def lease_name(fleet: str) -> str:
    """One lease for each fleet, whatever the way into it."""
    return f"fleet-{fleet}"


def content_lease_name(recipe: str, content_key: str) -> str:
    """One lease for each content: two runs never bake the same image at the same time."""
    return f"bake-{recipe}/{content_key}"


def builder_slots(ledger: str, project: str, limit: int) -> dict[int, Lease]:
    """The slots of a project's builders by their number, from 1; also those above the limit that
    an earlier, higher limit has left, since somebody may still hold them.
    """
    from airflow.sdk import ObjectStoragePath

    room = ObjectStoragePath(ledger) / "leases" / f"builders-{project}"
    known = {int(path.name[5:]) for path in room.iterdir()} if room.exists() else set()
    numbers = sorted(known | set(range(1, limit + 1)))
    return {n: lease_of(ledger, f"builders-{project}/slot-{n:03d}") for n in numbers}
