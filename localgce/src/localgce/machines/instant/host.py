"""Machines without a process: a guest program is the guest, disks are small file trees.

The guest program is a Python file with `async def boot(vm)`, run at each start as a task that
ends when the machine stops. It sees a `Vm`; nothing of localgce need be imported.
"""

from __future__ import annotations

import asyncio
import logging
import runpy
import sqlite3
import traceback
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from localgce.core.catalog import DEBIAN_PROJECT, fixed_id
from localgce.core.errors import MachineError
from localgce.machines.contract import Attachment, MachineSpec, PublicImage, StopReason
from localgce.machines.instant.disks import TABLES, Content, InstantDisks

log = logging.getLogger("localgce")
RING = 1 << 20
_TABLES = """
CREATE TABLE IF NOT EXISTS running (machine TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS serial (machine TEXT NOT NULL, text BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS serial_machine ON serial (machine);
"""


class GuestEnvironment(Protocol):
    """What a guest can use of the server: its metadata server and its clock."""

    def metadata(self, machine_id: str) -> dict[str, Any]:
        """The `instance/` tree."""

    def project_attributes(self, machine_id: str) -> dict[str, str]:
        """The project's metadata."""

    async def metadata_changed(self, machine_id: str) -> None:
        """Wait for the next change of the instance's or the project's metadata."""

    async def guest_attribute(self, machine_id: str, namespace: str, key: str, value: str) -> None:
        """Write a guest attribute; raises OSError when the metadata server rejects it."""

    async def sleep(self, seconds: float) -> None:
        """Wait, in the server's time."""


Boot = Callable[["Vm"], Awaitable[None] | None]


def default_guest(vm: Vm) -> None:
    """The guest program that runs when none is given."""
    vm.serial(f"\nDebian GNU/Linux 12 {vm.name} ttyS0\n\n{vm.name} login: ")


def load_guest(path: Path) -> Boot:
    """The `boot` of a guest program; raises MachineError in one line."""
    try:
        names = runpy.run_path(str(path))
    except Exception as error:
        raise MachineError(f"guest program {path}: {type(error).__name__}: {error}") from error
    boot = names.get("boot")
    if not callable(boot):
        raise MachineError(f"guest program {path} defines no boot(vm)")
    return boot  # type: ignore[no-any-return]


class InstantHost:
    """Creates instant machines; persists which of them run, for the restart after a kill."""

    metadata_by_socket = False

    def __init__(self, state: Path, boot: Boot = default_guest) -> None:
        """Open the disks of a state folder; `boot` is the guest program."""
        folder = state / "disks"
        folder.mkdir(parents=True, exist_ok=True)
        self.db = sqlite3.connect(folder / "instant.sqlite", isolation_level=None)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=NORMAL")
        self.db.executescript(TABLES + _TABLES)
        self.disks = InstantDisks(self.db)
        self.boot = boot
        self.environment: GuestEnvironment | None = None
        self._machines: dict[str, InstantMachine] = {}

    async def open(self) -> None:
        """Do nothing: instant machines need no preparation."""

    async def close(self) -> None:
        """Switch off all machines."""
        for machine in list(self._machines.values()):
            await machine.kill()
        self.db.close()

    def machine(self, spec: MachineSpec, stopped: Callable[[StopReason], None]) -> InstantMachine:
        """The machine of this spec."""
        row = self.db.execute("SELECT 1 FROM running WHERE machine=?", (spec.machine_id,))
        machine = InstantMachine(self, spec, stopped, was_running=row.fetchone() is not None)
        self._machines[spec.machine_id] = machine
        return machine

    async def public_images(self) -> list[PublicImage]:
        """Empty images that are the same on every server."""
        return [
            PublicImage(
                name=name,
                id=fixed_id(f"{DEBIAN_PROJECT}/{name}") + "000000000",
                family=name[: len("debian-12")],
                created="2026-11-10T12:00:00.000-08:00",
                layer_path=Path("/nonexistent"),
                size_gb=10,
                ready=True,
            )
            for name in ("debian-12-bookworm-v20261110", "debian-13-trixie-v20261110")
        ]

    async def build_public_image(self, family: str) -> PublicImage:
        """The same image: there is nothing to build."""
        return next(each for each in await self.public_images() if each.family == family)

    async def import_public_image(self, image: PublicImage) -> None:
        """Create the empty layer."""
        await self.disks.import_layer(image.id, image.layer_path)

    def forget(self, machine: InstantMachine) -> None:
        """Drop a deleted machine."""
        if self._machines.get(machine.spec.machine_id) is machine:
            del self._machines[machine.spec.machine_id]


class InstantMachine:
    """One machine without a process."""

    def __init__(
        self,
        host: InstantHost,
        spec: MachineSpec,
        stopped: Callable[[StopReason], None],
        *,
        was_running: bool,
    ) -> None:
        """Describe the machine; `was_running` when a killed server left it on."""
        self.host = host
        self.spec = spec
        self._stopped = stopped
        self._running = was_running
        self._task: asyncio.Task[None] | None = None
        self._awake = asyncio.Event()
        self._awake.set()
        self._serial: _Ring | None = None

    @property
    def running(self) -> bool:
        """Whether it is switched on."""
        return self._running

    async def start(self) -> None:
        """Start the guest program; after a kill of the server it starts again."""
        if self._task is None:
            self._running = True
            self._db("INSERT OR IGNORE INTO running VALUES (?)")
            self._boot()

    async def power_down(self) -> None:
        """Power off at once, unless the machine is paused."""
        if self._awake.is_set():
            self._end(StopReason.POWERED_OFF)

    async def kill(self) -> None:
        """Power off without the guest."""
        self._end(StopReason.KILLED)

    async def delete(self) -> None:
        """Kill, and delete the serial output."""
        self._end(StopReason.KILLED)
        self._db("DELETE FROM serial WHERE machine=?")
        self.host.forget(self)

    async def pause(self) -> None:
        """Hold the guest before its next await."""
        self._awake.clear()

    async def resume(self) -> None:
        """Let the guest continue."""
        self._awake.set()

    async def reset(self) -> None:
        """Restart the guest program."""
        if self._running:
            self._cancel()
            self._boot()

    async def attach(self, attachment: Attachment) -> None:
        """Attach a disk."""
        others = [a for a in self.spec.attachments if a.device_name != attachment.device_name]
        self.spec = replace(self.spec, attachments=(*others, attachment))

    async def detach(self, device_name: str) -> None:
        """Detach a disk."""
        kept = tuple(a for a in self.spec.attachments if a.device_name != device_name)
        self.spec = replace(self.spec, attachments=kept)

    async def console(self) -> Path:
        """There is none."""
        raise MachineError(f"{self.spec.name} is an instant machine: it has no console")

    async def screenshot(self) -> bytes:
        """There is none."""
        raise MachineError(f"{self.spec.name} is an instant machine: it has no display")

    @property
    def display(self) -> bool:
        """An instant machine has none."""
        return False

    async def forward(self, host_port: int, guest_port: int) -> None:
        """There is none."""
        ports = f"{host_port} and {guest_port}"
        raise MachineError(f"{self.spec.name} is an instant machine: it has no ports {ports}")

    def serial(self, port: int = 1, start: int = 0) -> tuple[bytes, int, int]:
        """The output of port 1; the other ports have none."""
        return self._ring().read(start) if port == 1 else (b"", 0, 0)

    async def awake(self) -> None:
        """Return when the machine is not paused."""
        await self._awake.wait()

    def write(self, text: str) -> None:
        """Append output of the guest to port 1."""
        data = text.encode()
        self._ring().append(data)
        self._db("INSERT INTO serial VALUES (?, ?)", data)

    def power_off(self) -> None:
        """Power off from inside the guest."""
        self._end(StopReason.POWERED_OFF)

    def _boot(self) -> None:
        self._awake.set()
        self._task = asyncio.get_running_loop().create_task(self._play(Vm(self)))

    async def _play(self, vm: Vm) -> None:
        try:
            doing = self.host.boot(vm)
            if doing is not None:
                await doing
        except Exception:  # an error of the guest program must not reach the server
            self.write(traceback.format_exc())

    def _cancel(self) -> None:
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()

    def _end(self, reason: StopReason) -> None:
        if not self._running:
            return
        self._running = False
        self._cancel()
        self._db("DELETE FROM running WHERE machine=?")
        self._stopped(reason)

    def _ring(self) -> _Ring:
        if self._serial is None:
            rows = self.host.db.execute(
                "SELECT text FROM serial WHERE machine=? ORDER BY rowid", (self.spec.machine_id,)
            )
            self._serial = _Ring()
            for row in rows:
                self._serial.append(row[0])
        return self._serial

    def _db(self, sql: str, *more: object) -> None:
        self.host.db.execute(sql, (self.spec.machine_id, *more))


class _Ring:
    """The last RING bytes of a stream, addressed by their offset in the whole stream."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._first = 0

    def append(self, data: bytes) -> None:
        self._data += data
        surplus = len(self._data) - RING
        if surplus > 0:
            del self._data[:surplus]
            self._first += surplus

    def read(self, start: int) -> tuple[bytes, int, int]:
        end = self._first + len(self._data)
        at = end + start if start < 0 else start
        at = min(max(at, self._first), end)
        return bytes(self._data[at - self._first :]), at, end


class Vm:
    """The machine as its guest program sees it."""

    def __init__(self, machine: InstantMachine) -> None:
        """Show the machine to its guest program."""
        self._machine = machine
        self._id = machine.spec.machine_id
        self.name = machine.spec.name
        self.project = machine.spec.project
        self.zone = machine.spec.zone
        self.id = machine.spec.machine_id
        self.boot_id = str(uuid.uuid4())

    @property
    def _environment(self) -> GuestEnvironment:
        environment = self._machine.host.environment
        if environment is None:
            raise MachineError("the host is not connected to a server")
        return environment

    def metadata(self) -> dict[str, Any]:
        """The metadata server's `instance/` tree, recursive."""
        return self._environment.metadata(self._id)

    def project_attributes(self) -> dict[str, str]:
        """The project's metadata."""
        return self._environment.project_attributes(self._id)

    async def metadata_changed(self) -> None:
        """Return at the next change of the instance's or the project's metadata."""
        await self._environment.metadata_changed(self._id)
        await self._machine.awake()

    def serial(self, text: str) -> None:
        """Append to serial port 1."""
        self._machine.write(text)

    async def guest_attribute(self, namespace: str, key: str, value: str) -> None:
        """Write a guest attribute; raises OSError when the metadata server refuses."""
        await self._machine.awake()
        await self._environment.guest_attribute(self._id, namespace, key, value)

    async def sleep(self, seconds: float) -> None:
        """Wait, in the server's time."""
        await self._environment.sleep(seconds)
        await self._machine.awake()

    async def power_off(self) -> None:
        """Switch the machine off from inside; does not return."""
        self._machine.power_off()
        await (
            asyncio.get_running_loop().create_future()
        )  # the task is cancelled when the machine stops

    def disk(self, device_name: str) -> MutableMapping[str, str]:
        """The files of an attached disk; raises KeyError when there is none of that name."""
        for attachment in self._machine.spec.attachments:
            if attachment.device_name == device_name:
                return Content(self._machine.host.db, attachment.disk_id)
        raise KeyError(device_name)

    @property
    def boot_disk(self) -> MutableMapping[str, str]:
        """The files of the boot disk."""
        first = self._machine.spec.attachments[0]
        return Content(self._machine.host.db, first.disk_id)
