"""The contract between instances and machines.

There are two implementations: `qemu` (a real machine) and `instant` (no process, a scripted guest).
Instances decide what a state means; a machine only starts, stops and reports that it has stopped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class Attachment:
    """One disk as the guest sees it; `disk_id` names the content in `Disks`."""

    disk_id: str
    device_name: str  # the guest finds it as /dev/disk/by-id/google-<device_name>
    boot: bool
    read_only: bool = False
    local_ssd: str = ""  # SCSI or NVME: the interface of a local SSD; empty for others


@dataclass(frozen=True)
class Nic:
    """The instance's network interface."""

    internal_ip: str  # 10.128.0.2
    external_ip: str | None = None  # 127.x.y.z, an address of the host's loopback


@dataclass(frozen=True)
class MachineSpec:
    """All that is needed to start a machine."""

    machine_id: (
        str  # the instance's numeric id: names the machine's folder, so it is stable over restarts
    )
    name: str
    project: str
    zone: str
    cpus: int
    emulated_cpus: int  # where there is no KVM
    memory_mb: int
    attachments: tuple[Attachment, ...]  # the boot disk first
    nic: Nic
    network: str = "default"  # machines reach those of the same network
    ports: tuple[int, ...] = field(default=())  # TCP ports reachable through `nic.external_ip`
    display: bool = False  # a display, whose screenshot can be taken


class StopReason(StrEnum):
    """Why a machine is no longer running."""

    POWERED_OFF = "powered_off"  # by the guest itself, or in answer to power_down
    KILLED = "killed"  # by kill(), or its process died
    CRASHED = "crashed"  # the machine ended in an error of the hypervisor


class Machine(Protocol):
    """One machine. Every method is idempotent."""

    async def start(self) -> None:
        """Power on, or adopt the machine that still runs from before a restart of the server.

        Returns when the guest's CPU runs; raises MachineError when it cannot.
        """

    async def power_down(self) -> None:
        """Press the ACPI power button; returns at once."""

    async def kill(self) -> None:
        """Power off without the guest; returns when nothing of the machine runs any more."""

    async def pause(self) -> None:
        """Stop the guest's CPU (suspend)."""

    async def resume(self) -> None:
        """Continue a paused guest."""

    async def reset(self) -> None:
        """Press the reset button."""

    async def delete(self) -> None:
        """Kill, then delete the machine's folder and serial output, but not its disks."""

    async def attach(self, attachment: Attachment) -> None:
        """Attach a disk to the running machine."""

    async def detach(self, device_name: str) -> None:
        """Detach a disk from the running machine."""

    async def console(self) -> Path:
        """Give the machine a console with a root shell; the socket that leads to it."""

    async def forward(self, host_port: int, guest_port: int) -> None:
        """Let a port of the host's loopback lead to one of the guest, until the machine stops."""

    async def screenshot(self) -> bytes:
        """What the display shows, as a PNG; MachineError for a machine without one, or off."""

    @property
    def display(self) -> bool:
        """Whether the machine has a display, since it was started."""

    @property
    def running(self) -> bool:
        """Whether the machine runs now."""

    def serial(self, port: int = 1, start: int = 0) -> tuple[bytes, int, int]:
        """Serial output: (contents, start of these contents, next start), in bytes.

        The last 1 MiB is kept; a `start` before it is moved up to it, a negative one counts from
        the end.
        """


class Disks(Protocol):
    """The contents of disks and images: `qemu/layers.py` or `instant/disks.py`.

    A layer is the frozen content of an image. Sizes are in GiB. Every method is idempotent, also
    after a crash in the middle of it.
    """

    async def create_blank(self, disk_id: str, size_gb: int) -> None:
        """Create an empty disk."""

    async def create_from_layer(self, disk_id: str, layer_id: str, size_gb: int) -> None:
        """Create a disk with the content of a layer."""

    async def freeze(self, disk_id: str, layer_id: str) -> int:
        """Make the disk's current content the layer `layer_id`, without copying.

        The disk continues on top of the layer. Only for a disk that no running machine has.
        Returns the layer's size in bytes.
        """

    async def copy(self, disk_id: str, layer_id: str) -> int:
        """Copy the content of a disk whose machine is paused to the layer `layer_id`.

        The layer is what a crash at that moment would have left. Returns its size in bytes.
        """

    async def import_layer(self, layer_id: str, path: Path) -> None:
        """Use a qcow2 or raw file (the public image in the cache) as a layer.

        The file is never copied, written or deleted.
        """

    async def import_copy(self, layer_id: str, path: Path) -> int:
        """Copy a qcow2 or raw file to the layer `layer_id`; returns the layer's size in bytes."""

    async def resize(self, disk_id: str, size_gb: int) -> None:
        """Grow a disk, also one of a running machine."""

    async def delete_disk(self, disk_id: str) -> None:
        """Delete a disk."""

    async def delete_layer(self, layer_id: str) -> None:
        """Delete a layer; its file is kept as long as a disk or layer needs it."""


class Host(Protocol):
    """Creates machines of one kind, and finds those that outlived the server.

    Created as `QemuHost(state: Path, cache: Path)` or `InstantHost(state: Path, ...)`; the files of
    a machine lie below `state / "machines" / machine_id`, those of disks below `state / "disks"`.
    """

    @property
    def disks(self) -> Disks:
        """The contents of this kind's disks."""

    metadata_by_socket: bool
    """Whether guests reach the metadata server through the unix socket
    `state / "machines" / machine_id / "metadata.sock"`, which the caller serves from before
    `start()` until the machine has stopped."""

    async def open(self) -> None:
        """Prepare; raises MachineError, in one line, when this host cannot run such machines."""

    async def close(self) -> None:
        """Kill every machine of this host."""

    def machine(self, spec: MachineSpec, stopped: Callable[[StopReason], None]) -> Machine:
        """The machine of this spec; `stopped` is called on the event loop when it stops.

        A machine whose process outlived an earlier server is `running` at once; the caller then
        calls `start()` to adopt it.
        """

    async def public_images(self) -> list[PublicImage]:
        """The public images of this kind of machines, which may not be built yet."""

    async def build_public_image(self, family: str) -> PublicImage:
        """Build that of a family unless it is built; raises MachineError when that fails."""

    async def import_public_image(self, image: PublicImage) -> None:
        """Make the built image the layer `image.id`."""


@dataclass(frozen=True)
class PublicImage:
    """An image of `debian-cloud`, such as `debian-12`; `ready` once it is built.

    `qemu/public_image.py` has `identity`, which generates name and id on first use and stores them
    in the cache, so that they are the same before and after the build, and `ensure`, which builds
    the image; several processes may call it at a time (one builds, the others wait).
    """

    name: str  # debian-12-bookworm-v20261123
    id: str  # decimal, 64 bit
    family: str  # debian-12
    created: str  # RFC 3339
    layer_path: Path
    size_gb: int
    ready: bool
