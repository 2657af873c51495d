"""`localgce reset`: kill the machines of a state folder that no server uses, and delete it."""

from __future__ import annotations

import shutil
from pathlib import Path

from localgce.core.errors import MachineError
from localgce.core.settings import Settings
from localgce.machines.contract import Host
from localgce.machines.instant.host import InstantHost
from localgce.service import Service


async def reset(state: Path, cache: Path) -> None:
    """Delete the state folder, and builds of the public image that no state folder uses.

    Raises StateInUse when a server has the folder, MachineError when it is not a state folder.
    """
    if not state.exists():
        return
    if any(state.iterdir()) and not (state / "state.sqlite").exists():
        raise MachineError(f"{state} is not a state folder of localgce")
    service = Service(Settings(state, "reset", state), _host(state, cache))
    try:
        for instance in service.store.all("instances"):
            machine = service.host.machine(service.lifecycle.spec(instance), lambda reason: None)
            await machine.delete()
    finally:
        service.store.close()
    shutil.rmtree(state)
    if isinstance(service.host, InstantHost):
        return
    from localgce.machines.qemu import public_image

    await public_image.sweep(cache)
    public_image.prune(cache)


def _host(state: Path, cache: Path) -> Host:
    if (state / "disks" / "instant.sqlite").exists():
        return InstantHost(state)
    from localgce.machines.qemu.host import QemuHost  # not needed for instant machines

    return QemuHost(state, cache)
