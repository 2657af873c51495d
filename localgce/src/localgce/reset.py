"""`localgce reset`: kill the machines of a state folder that no server uses, and delete it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from localgce.core.errors import MachineError
from localgce.core.server_file import LOG, START
from localgce.core.settings import Settings
from localgce.machines.instant.host import InstantHost
from localgce.service import Service

if TYPE_CHECKING:
    from pathlib import Path

    from localgce.machines.contract import Host


async def reset(state: Path, cache: Path) -> None:
    """Delete the state folder, and builds of the public image that no state folder uses.

    Raises StateInUse when a server has the folder, MachineError when it is not a state folder.
    """
    if not _is_state_folder(state):
        return
    service = Service(Settings(state, "reset", state), _host(state, cache))
    try:
        for instance in service.store.all("instances"):
            await service.lifecycle.delete_machine(instance)
    finally:
        service.store.close()
    shutil.rmtree(state)
    if isinstance(service.host, InstantHost):
        return
    from localgce.machines.qemu import public_image

    await public_image.sweep(cache)
    public_image.prune(cache)


def _is_state_folder(state: Path) -> bool:
    """False when there is no such folder; raises MachineError for any other folder."""
    if not state.exists():
        return False
    others = {path.name for path in state.iterdir()} - {LOG, START}  # a start that failed early
    if others and "state.sqlite" not in others:
        raise MachineError(f"{state} is not a state folder of localgce")
    return True


def _host(state: Path, cache: Path) -> Host:
    if (state / "disks" / "instant.sqlite").exists():
        return InstantHost(state)
    from localgce.machines.qemu.host import QemuHost  # not needed for instant machines

    return QemuHost(state, cache)
