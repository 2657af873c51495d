"""The contract between the API and whatever stands behind an instance.

Two kinds keep it: `qemu` (a real machine) and `instant` (no process, a scripted guest).
The API decides what a state means; a machine only starts, stops and says that it has stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Attachment:
    """One disk as the guest sees it; `disk_id` names the content in `Disks`."""

    disk_id: str
    device_name: str  # the guest finds it as /dev/disk/by-id/google-<device_name>
    boot: bool
    read_only: bool = False


@dataclass(frozen=True)
class Nic:
    """The instance's network interface."""

    internal_ip: str  # 10.128.0.2
    external_ip: str | None = None  # 127.x.y.z, an address of the host's loopback


@dataclass(frozen=True)
class MachineSpec:
    """All that is needed to start a machine; pure data, kept by the caller."""

    machine_id: (
        str  # the instance's numeric id: names the machine's folder, so it is stable over restarts
    )
    name: str
    project: str
    zone: str
    cpus: int
    memory_mb: int
    attachments: tuple[Attachment, ...]  # the boot disk first
    nic: Nic
    ports: tuple[int, ...] = field(default=())  # TCP ports reachable through `nic.external_ip`


class StopReason(StrEnum):
    """Why a machine is no longer running."""

    POWERED_OFF = "powered_off"  # by the guest itself, or in answer to power_down
    KILLED = "killed"  # by kill(), or its process died
    CRASHED = "crashed"  # the machine ended in an error of the hypervisor


class Machine(Protocol):
    """One machine. Every method may be called again and does nothing the second time."""

    async def start(self) -> None:
        """Switch on, or adopt the machine that still runs from before a restart of the server.

        Returns when the guest's processor runs; raises MachineError when it cannot.
        """

    async def power_down(self) -> None:
        """Press the power button (ACPI); returns at once."""

    async def kill(self) -> None:
        """Pull the plug; returns when nothing of the machine runs any more."""

    async def pause(self) -> None:
        """Stop the guest's processor (suspend)."""

    async def resume(self) -> None:
        """Let it go on."""

    async def reset(self) -> None:
        """Press the reset button."""

    async def delete(self) -> None:
        """Kill, then forget all that is kept of the machine but its disks (its folder, its serial
        output)."""

    async def attach(self, attachment: Attachment) -> None:
        """Plug a disk into the running machine."""

    async def detach(self, device_name: str) -> None:
        """Unplug a disk from the running machine."""

    @property
    def running(self) -> bool:
        """Whether something of the machine runs now."""

    def serial(self, port: int = 1, start: int = 0) -> tuple[bytes, int, int]:
        """What the guest wrote: (contents, start of these contents, next start), in bytes.

        The last 1 MiB is kept; a `start` before what is kept is moved up to it, a negative one
        counts from the end.
        """


class Disks(Protocol):
    """The contents of disks and images: `qemu/layers.py` for real, else `instant/disks.py`.

    `layer` is the frozen content that an image stands for. Sizes are in GiB.
    Every method is safe to repeat after a crash in the middle of it.
    """

    async def create_blank(self, disk_id: str, size_gb: int) -> None: ...

    async def create_from_layer(self, disk_id: str, layer_id: str, size_gb: int) -> None: ...

    async def freeze(self, disk_id: str, layer_id: str) -> int:
        """Make the disk's content of now the layer `layer_id`, without copying; the disk goes on
        upon it. Only for a disk that no running machine has. Returns the layer's size in bytes."""

    async def copy(self, disk_id: str, layer_id: str) -> int:
        """The same by copying, for a disk whose machine is paused at the moment: the layer is what
        a crash at that moment would have left. Returns the layer's size in bytes."""

    async def import_layer(self, layer_id: str, path: Path) -> None:
        """Let a qcow2 or raw file made elsewhere (the public image in its cache) be a layer where
        it is: never copied, written or deleted."""

    async def resize(self, disk_id: str, size_gb: int) -> None: ...

    async def delete_disk(self, disk_id: str) -> None: ...

    async def delete_layer(self, layer_id: str) -> None:
        """Forget the layer; its file goes as soon as no disk or layer stands on it."""


class Host(Protocol):
    """Makes machines of one kind and finds again those that survived the server.

    Made as `QemuHost(state: Path)` or `InstantHost(state: Path, ...)`; what belongs to a machine is
    kept below `state / "machines" / machine_id`, what belongs to disks below `state / "disks"`.
    """

    @property
    def disks(self) -> Disks:
        """The contents of this kind's disks."""

    asks_by_socket: bool
    """Whether guests ask the metadata server through the unix socket
    `state / "machines" / machine_id / "metadata.sock"`, which the caller then serves from before
    `start()` until after the machine has stopped."""

    async def open(self) -> None:
        """Get ready; raises MachineError, in one line, when this kind cannot be had here."""

    async def close(self) -> None:
        """Switch off every machine that this host runs, at once."""

    def machine(self, spec: MachineSpec, stopped: Callable[[StopReason], None]) -> Machine:
        """The machine of this spec; `stopped` is called once on the event loop whenever it stops.

        A machine whose process survived an earlier server is `running` at once; the caller
        then calls `start()` to adopt it.
        """


@dataclass(frozen=True)
class PublicImage:
    """The public image `debian-cloud/debian-12`, built (`ready`) or only named as yet.

    `public_image.py` offers `identity(cache: Path) -> PublicImage`, which mints name and id on
    first use and keeps them in the cache, so that they are the same before and after the build, and
    `async ensure(cache: Path, progress: Callable[[str], None]) -> PublicImage`, which builds what
    is missing; safe to call from several processes at a time (one builds, the others wait).
    """

    name: str  # debian-12-bookworm-v20261123
    id: str  # decimal, 64 bit
    family: str  # debian-12
    created: str  # RFC 3339
    layer_path: Path
    size_gb: int
    ready: bool


class MachineError(Exception):
    """A machine or disk operation failed; the message is one line for the API's caller."""
