"""Takes a disk away from an instance: on request, or for another instance that is given it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core import links
from localgce.disks.attachments import disk_of, remove_user

if TYPE_CHECKING:
    from localgce.core.context import Core
    from localgce.core.errors import Json
    from localgce.core.store import Record
    from localgce.instances.lifecycle import Lifecycle


async def take_from_others(core: Core, lifecycle: Lifecycle, disk: Record, keeper: Record) -> None:
    """Release a disk from all instances but one, as `forceAttach` does with a regional disk.

    A machine that runs from the disk is killed: it must not write to it any more.
    """
    current = core.store.again(disk) or disk
    for user in current.body.get("users", []):
        instance = core.store.at(links.parse(user, project=disk.project, field="users"))
        if instance is None or instance.id == keeper.id:
            continue
        for entry in [e for e in instance.body["disks"] if e.get("source") == disk.link]:
            machine = lifecycle.find(instance)
            if machine is not None and machine.running:
                if entry["boot"]:
                    await lifecycle.kill(instance)
                else:
                    await machine.detach(entry["deviceName"])
            forget(core, instance, entry)


def forget(core: Core, instance: Record, entry: Json) -> None:
    """Record that the instance has the disk no more."""
    store = core.store
    current = store.again(instance) or instance
    disks = [d for d in current.body["disks"] if d["deviceName"] != entry["deviceName"]]
    with store.transaction():
        store.put(current.changed(disks=disks))
        disk = disk_of(store, entry)
        if disk is not None:
            remove_user(store, core.clock.now(), disk, instance)
    core.changes.notify(f"instance/{instance.id}")
