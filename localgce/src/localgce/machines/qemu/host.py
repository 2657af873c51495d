"""Real machines: one QEMU process each, in a session of its own, which outlives the server.

A process is found again by its pidfile and controlled through its QMP socket; both lie in the
machine's folder. Nothing else is persisted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from typing import TYPE_CHECKING, Any

from localgce.core.errors import MachineError
from localgce.core.subprocesses import run
from localgce.machines.contract import Attachment, MachineSpec, PublicImage, StopReason
from localgce.machines.qemu import builds, console, debian, kvm, public_image
from localgce.machines.qemu import command as qemu_command
from localgce.machines.qemu import network as qemu_network
from localgce.machines.qemu import process as qemu_process
from localgce.machines.qemu import serial as qemu_serial
from localgce.machines.qemu.files import MachineFiles, socket_path, sweep_links
from localgce.machines.qemu.hung_boots import HungBoots, watch
from localgce.machines.qemu.layers import Layers
from localgce.machines.qemu.names import Names, NameServer
from localgce.machines.qemu.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from localgce.machines.qemu.command import Lan
    from localgce.machines.qemu.process import Process

log = logging.getLogger("localgce")
TRIM_SECONDS = 60.0
PRESS_SECONDS = 5.0


class QemuHost:
    """The `Host` of real machines."""

    metadata_by_socket = True

    def __init__(self, state: Path, cache: Path) -> None:
        """Keep machines below `state`; `cache` has the public image and the KVM probe."""
        state = state.resolve()  # a process is identified by the path it was started with
        self._state = state
        self._folder = state / "machines"
        self._cache = cache
        self._machines: dict[str, QemuMachine] = {}
        self._loops: list[asyncio.Task[None]] = []
        self.names = Names()
        self.name_socket = socket_path(state / "names.sock")
        self._name_server = NameServer(self.names)
        self.disks: Layers = Layers(state / "disks", self._resize)

    async def open(self) -> None:
        """Prepare; raises MachineError that names the missing packages."""
        if missing := [name for name in _PROGRAMS if shutil.which(name) is None]:
            packages = sorted({_PROGRAMS[name] for name in missing})
            raise MachineError(f"real machines need the packages {', '.join(packages)}")
        self._folder.mkdir(parents=True, exist_ok=True)
        sweep_links()
        await self.disks.open()
        await self._name_server.open(self.name_socket)
        self._loops.append(asyncio.create_task(self._trim()))
        self._loops.append(asyncio.create_task(watch(HungBoots(), self._running)))

    async def close(self) -> None:
        """Kill every machine of the state folder, also those without a `Machine` object."""
        for loop in self._loops:
            loop.cancel()
        if self._loops:
            await self._name_server.close()
        await asyncio.gather(*(machine.kill() for machine in self._machines.values()))
        for pidfile in self._folder.glob("*/qemu.pid"):
            if process := qemu_process.find(pidfile):
                process.kill()
                await process.ended()

    def machine(self, spec: MachineSpec, stopped: Callable[[StopReason], None]) -> QemuMachine:
        """The machine of this spec."""
        self.names.add(spec)
        return QemuMachine(self, spec, MachineFiles(self._folder / spec.machine_id), stopped)

    async def public_images(self) -> list[PublicImage]:
        """The public images of the cache, after removal of what killed builders have left."""
        await public_image.sweep(self._cache)
        return [public_image.identity(self._cache, release) for release in debian.RELEASES]

    async def build_public_image(self, family: str) -> PublicImage:
        """Build the public image of a family into the cache, unless it is there."""
        release = next(each for each in debian.RELEASES if each.family == family)
        return await public_image.ensure(self._cache, log.info, release, self.accelerator)

    async def import_public_image(self, image: PublicImage) -> None:
        """Use the file of the cache as a layer, and record that this state folder uses it."""
        builds.note_user(image.layer_path, self._state)
        await self.disks.import_layer(image.id, image.layer_path)

    async def accelerator(self) -> str:
        """`kvm` where a probe has booted with it, else `tcg`."""
        return (await kvm.choose_accelerator(self._cache)).accelerator

    def disable_kvm(self) -> None:
        """Record that a machine ended in an error of KVM."""
        kvm.disable_kvm(self._cache)

    def lan_of(self, network: str) -> Lan | None:
        """The network that joins the machines of one of Compute Engine's networks."""
        return qemu_network.lan(self._state, network)

    def on(self, machine: QemuMachine) -> None:
        """Add a machine that has started."""
        self._machines[machine.spec.machine_id] = machine

    def off(self, machine: QemuMachine) -> None:
        """Remove a machine that has stopped."""
        if self._machines.get(machine.spec.machine_id) is machine:
            del self._machines[machine.spec.machine_id]

    async def _resize(self, disk_id: str, size: int) -> bool:
        for machine in self._machines.values():
            if await machine.resize(disk_id, size):
                return True
        return False

    def _running(self) -> dict[str, QemuMachine]:
        return {f"{one.spec.name} (id {key})": one for key, one in self._machines.items()}

    async def _trim(self) -> None:
        while True:
            await asyncio.sleep(TRIM_SECONDS)
            for path in self._folder.glob("*/serial-*.log"):
                qemu_serial.trim(path)


_PROGRAMS = {
    qemu_command.QEMU: "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "socat": "socat",
}


class QemuMachine:
    """`Machine` with a QEMU process."""

    def __init__(
        self,
        host: QemuHost,
        spec: MachineSpec,
        files: MachineFiles,
        stopped: Callable[[StopReason], None],
    ) -> None:
        """Describe the machine, and find its process if that still runs."""
        self.spec = spec
        self._host = host
        self._files = files
        self._stopped = stopped
        self._process = qemu_process.find(files.pid)
        self._session: Session | None = None
        self._watching: asyncio.Task[None] | None = None
        self._pressing: asyncio.Task[None] | None = None
        self._reason: StopReason | None = None
        self._changing = asyncio.Lock()
        self._disks = {each.device_name: each for each in spec.attachments}
        self._unplugged: dict[str, asyncio.Event] = {}

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return self._process is not None

    async def start(self) -> None:
        """Start the process, or adopt the running one."""
        async with self._changing:
            if self._watching:
                return
            if self._process is None:
                self._process = await self._launch()
            self._reason = None
            self._session = Session(self._happened)
            try:
                await self._session.open(self._files.qmp)
                await self._let_run(self._session)
            except BaseException:
                self._process.kill()
                self._process = self._session = None
                raise
            self._watching = asyncio.create_task(self._watch(self._process, self._session))
            self._host.on(self)

    async def power_down(self) -> None:
        """Press the power button, again every few seconds: a booting guest ignores it."""
        if self._session and not self._pressing:
            await self._session.execute("system_powerdown")
            self._pressing = asyncio.create_task(self._press(self._session))

    async def kill(self) -> None:
        """Kill the process, as a power failure would."""
        if process := self._process:
            self._reason = self._reason or StopReason.KILLED
            process.kill()
            await process.ended()
        if self._watching and self._watching is not asyncio.current_task():
            await asyncio.shield(self._watching)
        elif not self._watching:
            self._process = None

    async def pause(self) -> None:
        """Stop the CPUs; the memory is kept."""
        await self._on().execute("stop")

    async def resume(self) -> None:
        """Continue the CPUs."""
        await self._on().execute("cont")

    async def runs(self) -> bool:
        """Whether its CPUs run: it is neither suspended nor stopped."""
        return bool((await self._on().execute("query-status"))["status"] == "running")

    async def reset(self) -> None:
        """Press the reset button."""
        await self._on().execute("system_reset")

    async def delete(self) -> None:
        """Kill, and delete the folder."""
        await self.kill()
        self._host.names.remove(self.spec)
        await asyncio.to_thread(shutil.rmtree, self._files.folder, ignore_errors=True)
        sweep_links()

    async def attach(self, attachment: Attachment) -> None:
        """Attach a SCSI disk."""
        if attachment.device_name in self._disks:
            return
        session, path = self._on(), self._host.disks.path(attachment.disk_id)
        await session.execute("blockdev-add", qemu_command.blockdev(attachment, path))
        try:
            await session.execute("device_add", qemu_command.device(attachment))
        except MachineError:
            node = qemu_command.node(attachment.device_name)
            await session.execute("blockdev-del", {"node-name": node})
            raise
        self._disks[attachment.device_name] = attachment

    async def detach(self, device_name: str) -> None:
        """Detach a disk; what the guest has not written yet is lost."""
        if device_name not in self._disks:
            return
        session, node = self._on(), qemu_command.node(device_name)
        gone = self._unplugged[f"{node}-device"] = asyncio.Event()
        await session.execute("device_del", {"id": f"{node}-device"})
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(gone.wait(), 10)
        await session.execute("blockdev-del", {"node-name": node})
        del self._disks[device_name]

    async def resize(self, disk_id: str, size: int) -> bool:
        """Announce a disk's new size in bytes to the guest; False when it has no such disk."""
        for name, attachment in self._disks.items():
            if attachment.disk_id == disk_id and self._session:
                node = qemu_command.node(name)
                await self._session.execute("block_resize", {"node-name": node, "size": size})
                return True
        return False

    async def console(self) -> Path:
        """Plug a console in, unless it is there; its socket takes one client at a time."""
        session, path = self._on(), self._files.console
        devices = {one["label"] for one in await session.execute("query-chardev")}
        if console.PORT not in devices:
            path.unlink(missing_ok=True)
            address = {"type": "unix", "data": {"path": str(path)}}
            backend = {"type": "socket", "data": {"addr": address, "server": True, "wait": False}}
            await session.execute("chardev-add", {"id": console.PORT, "backend": backend})
            port = {"driver": "virtconsole", "id": f"{console.PORT}-port", "chardev": console.PORT}
            await session.execute("device_add", {**port, "bus": f"{console.CONTROLLER}.0"})
        return path

    async def forward(self, host_port: int, guest_port: int) -> None:
        """Let a port of the host's loopback lead to one of the guest, until this machine stops."""
        line = f"hostfwd_add outside tcp:127.0.0.1:{host_port}-:{guest_port}"
        answer = await self._on().execute("human-monitor-command", {"command-line": line})
        if str(answer).strip():
            raise MachineError(f"port {host_port} of 127.0.0.1 cannot be forwarded: is it in use?")

    async def screenshot(self) -> bytes:
        """What QEMU draws of the guest's display."""
        session = self._on()
        if not self.display:
            raise MachineError(f"machine {self.spec.name} was started without a display")
        picture = self._files.screenshot
        arguments = {"filename": str(picture), "format": "png", "device": qemu_command.DISPLAY}
        await session.execute("screendump", arguments)
        return await asyncio.to_thread(picture.read_bytes)

    @property
    def display(self) -> bool:
        """Whether the machine was started with a display."""
        return self.spec.display

    def serial(self, port: int = 1, start: int = 0) -> tuple[bytes, int, int]:
        """The serial output of the port, also of a machine that is off."""
        return qemu_serial.read(self._files.serial(port), start)

    def _on(self) -> Session:
        if self._session is None:
            raise MachineError(f"machine {self.spec.name} is not running")
        return self._session

    async def _launch(self) -> Process:
        """Start QEMU as a daemon; returns once the daemon is ready, raises when it fails."""
        self._files.folder.mkdir(parents=True, exist_ok=True)
        words = qemu_command.command(
            self.spec,
            self._files,
            self._host.disks.path,
            name_socket=self._host.name_socket,
            accelerator=await self._host.accelerator(),
            lan=self._host.lan_of(self.spec.network),
            ports=qemu_network.free_ports(self.spec),
        )
        self._disks = {each.device_name: each for each in self.spec.attachments}
        try:
            await run(*words)
        finally:
            process = qemu_process.find(self._files.pid)
        if process is None:
            raise MachineError(f"QEMU ended at once (see {self._files.log})")
        return process

    async def _let_run(self, session: Session) -> None:
        """Start the CPUs of a machine that QEMU has created but not started."""
        status = (await session.execute("query-status"))["status"]
        if status == "prelaunch":
            await session.execute("cont")
        elif status == "internal-error":
            self._crash()

    def _happened(self, event: str, data: dict[str, Any]) -> None:
        if event == "SHUTDOWN" and self._reason is None:
            self._reason = StopReason.POWERED_OFF if data.get("guest") else StopReason.KILLED
        elif event == "STOP" and self._session:
            # suspension also causes this event; only an internal error of QEMU ends a machine
            self._checking = asyncio.create_task(self._look(self._session))
        elif event == "DEVICE_DELETED":
            self._unplugged.pop(str(data.get("device")), asyncio.Event()).set()

    async def _look(self, session: Session) -> None:
        with contextlib.suppress(MachineError):
            if (await session.execute("query-status"))["status"] == "internal-error":
                self._crash()

    def _crash(self) -> None:
        """End a QEMU that an error of KVM has paused for ever."""
        self._reason = self._reason or StopReason.CRASHED
        self._host.disable_kvm()
        if self._process:
            self._process.kill()

    async def _press(self, session: Session) -> None:
        with contextlib.suppress(MachineError):
            while True:
                await asyncio.sleep(PRESS_SECONDS)
                await session.execute("system_powerdown")

    async def _watch(self, process: Process, session: Session) -> None:
        """Wait for the end of the process, and report its reason once."""
        await process.ended()
        if self._pressing:
            self._pressing.cancel()
        await session.close()
        self._process = self._session = self._watching = self._pressing = None
        self._host.off(self)
        self._files.pid.unlink(missing_ok=True)
        self._stopped(self._reason or StopReason.KILLED)
