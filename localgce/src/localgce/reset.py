"""`localgce reset`: end the machines of a state folder that no server serves, and remove it."""

from __future__ import annotations

import shutil
from pathlib import Path

from localgce.cache import default_cache
from localgce.instant import InstantHost
from localgce.machine import Host, MachineError
from localgce.service import Service, Settings


async def reset(state: Path) -> None:
    """Raises StateInUse when a server has the folder, MachineError when it is no state folder."""
    if not state.exists():
        return
    if any(state.iterdir()) and not (state / "state.sqlite").exists():
        raise MachineError(f"{state} is not a state folder of localgce")
    service = Service(Settings(state, "reset", state), _host(state))
    try:
        for instance in service.store.all("instances"):
            machine = service.host.machine(service.lifecycle.spec(instance), lambda reason: None)
            await machine.delete()
    finally:
        service.store.close()
    shutil.rmtree(state)


def _host(state: Path) -> Host:
    if (state / "disks" / "instant.sqlite").exists():
        return InstantHost(state)
    from localgce.qemu import QemuHost  # imports what instant machines do not need

    return QemuHost(state, default_cache())
