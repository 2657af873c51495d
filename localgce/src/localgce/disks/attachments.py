"""Which instance uses a disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core import links
from localgce.core.clock import timestamp

if TYPE_CHECKING:
    from localgce.core.store import Record, Store


def disk_of(store: Store, attached: dict[str, str]) -> Record | None:
    """The disk of an entry of an instance's `disks`; None for a local SSD."""
    if "source" not in attached:
        return None
    return store.at(links.parse(attached["source"], project="", field="source"))


def add_user(store: Store, now: float, disk: Record, instance: Record) -> None:
    """Record that the instance uses the disk."""
    current = store.again(disk) or disk
    users = [*(u for u in current.body.get("users", []) if u != instance.link), instance.link]
    store.put(current.changed(users=users, lastAttachTimestamp=timestamp(now)))


def remove_user(store: Store, now: float, disk: Record, instance: Record) -> None:
    """Record that the instance no longer uses the disk."""
    current = store.again(disk)
    if current is None:
        return
    users = [user for user in current.body.get("users", []) if user != instance.link]
    store.put(current.changed(users=users or None, lastDetachTimestamp=timestamp(now)))
