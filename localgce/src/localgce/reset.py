"""`localgce reset`: end the machines of a state folder that no server serves, and remove it."""

from __future__ import annotations

import shutil
from pathlib import Path

from localgce.machines.contract import Host, MachineError
from localgce.machines.instant.host import InstantHost
from localgce.service import Service, Settings


async def reset(state: Path, cache: Path) -> None:
    """Also the builds of the public image that nothing stands on any more.

    Raises StateInUse when a server has the folder, MachineError when it is no state folder."""
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
    from localgce.images import public_image

    await public_image.sweep(cache)
    public_image.prune(cache)


def _host(state: Path, cache: Path) -> Host:
    if (state / "disks" / "instant.sqlite").exists():
        return InstantHost(state)
    from localgce.machines.qemu.host import QemuHost  # imports what instant machines do not need

    return QemuHost(state, cache)
