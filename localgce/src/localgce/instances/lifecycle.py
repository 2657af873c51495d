"""The states of instances, and the machines behind them.

Every change of an instance's status goes through `_set`.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from localgce.core import catalog, links
from localgce.core.clock import timestamp
from localgce.core.errors import Json, MachineError, OperationError
from localgce.disks.attachments import disk_of
from localgce.instances import deadlines, local_ssds
from localgce.instances.creator import creator_of
from localgce.machines.contract import Attachment, Machine, MachineSpec, Nic, StopReason
from localgce.networks import firewall_ports

if TYPE_CHECKING:
    from collections.abc import Callable

    from localgce.core.context import Core
    from localgce.core.store import Record
    from localgce.instances.addresses import Allocator
    from localgce.instances.deadlines import Deadlines
    from localgce.machines.contract import Host
    from localgce.metadata.servers import MetadataServer

log = logging.getLogger("localgce")
# of an instance with an external address, whatever its firewall rules are
PORTS = (80, 443, 8080, 8443, 9092, 9093, 9094, 9644)
_SYSTEM = {
    StopReason.POWERED_OFF: (
        "compute.instances.guestTerminate",
        "Instance terminated by guest OS shutdown.",
    ),
    StopReason.KILLED: (
        "compute.instances.hostError",
        "Instance terminated by Compute Engine.",
    ),
    StopReason.CRASHED: (
        "compute.instances.hostError",
        "Instance terminated by Compute Engine.",
    ),
}


@dataclass
class Live:
    """A machine that runs, starts or stops."""

    machine: Machine
    stopping: bool = False
    switched_off: bool = False  # on purpose, by a fault: no reason to start it again
    stopped: asyncio.Event = field(default_factory=asyncio.Event)


class Lifecycle:
    """The machines of all instances."""

    def __init__(
        self,
        core: Core,
        host: Host,
        addresses: Allocator,
        timers: Deadlines,
        metadata_server: MetadataServer,
    ) -> None:
        """Manage no machine yet; `recover` adopts those of an earlier server."""
        self._core = core
        self._host = host
        self._addresses = addresses
        self._deadlines = timers
        self._metadata_server = metadata_server
        self._live: dict[str, Live] = {}
        self._observers: list[Callable[[Record], None]] = []
        self._hurried = asyncio.Event()
        self._restarts: set[asyncio.Task[None]] = set()
        self._closing = False

    def subscribe(self, observer: Callable[[Record], None]) -> None:
        """Call `observer` with each instance whose status has changed or that was deleted."""
        self._observers.append(observer)

    def notify(self, instance: Record) -> None:
        """Call the observers."""
        for observer in self._observers:
            observer(instance)

    def find(self, instance: Record) -> Machine | None:
        """The machine of an instance that is not stopped."""
        live = self._live.get(instance.id)
        return live.machine if live else None

    def serial(self, instance: Record, port: int, start: int) -> tuple[bytes, int, int]:
        """The serial output, also of a stopped machine."""
        machine = self.find(instance) or self._off_machine(instance)
        return machine.serial(port, start)

    async def start(self, instance: Record) -> None:
        """Start; RUNNING once the guest's CPU runs, TERMINATED when it cannot."""
        self._set(instance, "STAGING")
        try:
            instance = self._with_addresses(instance)
            await local_ssds.prepare(self._host.disks, instance)
            await self._switch_on(instance)
        except Exception:
            self._off(instance, "TERMINATED")
            raise
        current = self._core.store.again(instance)
        if current is None or instance.id not in self._live:
            return  # it has stopped again at once, and `_stopped` has recorded that
        self._core.store.put(current.kept(preempted=False, keep_local_ssds=False))
        end = deadlines.end_of(current.body.get("scheduling", {}), self._core.clock.now())
        now = timestamp(self._core.clock.now())
        more = {"lastStartTimestamp": now, "resourceStatus": deadlines.shown(end)}
        self._set(instance, "RUNNING", **more)
        self._deadlines.watch(self._core.store.again(instance) or instance)

    def _with_addresses(self, instance: Record) -> Record:
        current = self._core.store.again(instance) or instance
        interfaces = self._addresses.allocate_ephemeral(current)
        return self._core.store.put(current.changed(networkInterfaces=interfaces))

    async def stop(self, instance: Record, grace: float, *, final: str = "TERMINATED") -> None:
        """Press the power button, and kill the machine after `grace` seconds."""
        live = self._live.get(instance.id)
        if live is not None:
            live.stopping = True
            current = self._core.store.again(instance)
            if current is not None and current.body["status"] == "SUSPENDED":
                await live.machine.resume()
            self._set(instance, "STOPPING")
            await self._power_off(live, grace)
        self._off(instance, final)

    async def suspend(self, instance: Record) -> None:
        """Stop the CPU and keep the memory."""
        machine = self._need(instance)
        self._set(instance, "SUSPENDING")
        try:
            await machine.pause()
        except Exception:
            self._set(instance, "RUNNING")
            raise
        now = timestamp(self._core.clock.now())
        self._set(instance, "SUSPENDED", lastSuspendedTimestamp=now)

    async def resume(self, instance: Record) -> None:
        """Continue a suspended instance."""
        await self._need(instance).resume()
        current = self._core.store.again(instance)
        if current is not None:  # the guest agent then sets its clock by the machine's
            drift = int(current.private.get("drift", 0)) + 1
            self._core.store.put(current.kept(drift=drift))
            self._core.changes.notify(f"instance/{instance.id}")
        self._set(instance, "RUNNING")

    async def reset(self, instance: Record) -> None:
        """Press the reset button."""
        await self._need(instance).reset()

    async def delete(self, instance: Record, grace: float) -> None:
        """Stop, and delete the machine."""
        await self.stop(instance, grace, final="STOPPING")
        await self.delete_machine(instance)
        self._metadata_server.close(instance.id)

    async def discard_local_ssds(self, instance: Record) -> None:
        """Delete the contents of the local SSDs of an instance that is off."""
        await local_ssds.discard(self._host.disks, instance)

    async def delete_machine(self, instance: Record) -> None:
        """Kill the machine of an instance, and delete what is kept of it."""
        await self._off_machine(instance).delete()
        await local_ssds.discard(self._host.disks, instance)

    async def kill(self, instance: Record) -> None:
        """Kill the machine, which stays off."""
        live = self._live.get(instance.id)
        if live is not None:
            live.switched_off = True
            await live.machine.kill()

    async def recover(self) -> None:
        """Adopt the machines that outlived an earlier server; the others are TERMINATED."""
        for instance in self._core.store.all("instances"):
            if instance.body["status"] == "TERMINATED":
                continue
            machine = self._make(instance).machine
            if machine.running:
                await self._switch_on(instance)
                self._deadlines.watch(instance)
                if instance.body["status"] == "SUSPENDED":
                    await machine.pause()
            elif not self._core.operations.busy(instance):
                self._lost(instance)
            else:
                del self._live[instance.id]

    async def close(self, grace: float) -> None:
        """Stop all machines within `grace` seconds, or at once when `hurry` is called."""
        self._closing = True
        for task in self._restarts:
            task.cancel()
        await asyncio.gather(*self._restarts, return_exceptions=True)
        running = [r for r in self._core.store.all("instances") if r.id in self._live]
        await asyncio.gather(*(self.stop(r, grace) for r in running), return_exceptions=True)

    def hurry(self) -> None:
        """Wait no longer for guests that power off."""
        self._hurried.set()

    async def _switch_on(self, instance: Record) -> None:
        live = self._live.get(instance.id) or self._make(instance)
        if self._host.metadata_by_socket:
            await self._metadata_server.open(instance.id)
        try:
            await live.machine.start()
        except BaseException:
            self._live.pop(instance.id, None)
            raise

    def _make(self, instance: Record) -> Live:
        live: Live | None = None

        def stopped(reason: StopReason) -> None:
            if live is not None:
                self._stopped(instance, live, reason)

        machine = self._host.machine(self.spec(instance), stopped)
        live = Live(machine)
        self._live[instance.id] = live
        return live

    def _off_machine(self, instance: Record) -> Machine:
        return self._host.machine(self.spec(instance), _ignore_stop)

    def _stopped(self, instance: Record, live: Live, reason: StopReason) -> None:
        live.stopped.set()
        if live.stopping:
            return
        self._live.pop(instance.id, None)
        self._metadata_server.close(instance.id)
        current = self._core.store.again(instance)
        if current is None:
            return
        kind, message = _SYSTEM[reason]
        self._terminated(current)
        self._core.operations.system(current, kind, message)
        if reason is not StopReason.POWERED_OFF and not live.switched_off:
            self._restart(current)

    def _restart(self, instance: Record) -> None:
        """Start an instance again whose host has failed, where its scheduling says so."""
        if (
            self._closing
            or creator_of(instance) is not None  # its group creates it anew
            or not instance.body.get("scheduling", {}).get("automaticRestart", True)
        ):
            return
        message = "Instance was automatically restarted by Compute Engine."
        self._core.operations.system(instance, "compute.instances.automaticRestart", message)
        task = asyncio.create_task(self._start_again(instance))
        self._restarts.add(task)
        task.add_done_callback(self._restarts.discard)

    async def _start_again(self, instance: Record) -> None:
        current = self._core.store.again(instance)
        if current is None or current.body["status"] != "TERMINATED":
            return
        try:
            await self.start(current)
        except (MachineError, OperationError) as error:
            log.error("%s is not restarted: %s", instance.path, error)

    def _lost(self, instance: Record) -> None:
        self._live.pop(instance.id, None)
        self._terminated(instance)
        kind, message = _SYSTEM[StopReason.KILLED]
        self._core.operations.system(instance, kind, message)

    async def _power_off(self, live: Live, grace: float) -> None:
        await live.machine.power_down()
        if not await self._within(live.stopped, grace):
            await live.machine.kill()

    async def _within(self, event: asyncio.Event, seconds: float) -> bool:
        if event.is_set():
            return True
        waits = [
            asyncio.ensure_future(event.wait()),
            asyncio.ensure_future(self._hurried.wait()),
            asyncio.ensure_future(self._core.clock.sleep(seconds)),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return event.is_set()

    def _off(self, instance: Record, final: str) -> None:
        self._live.pop(instance.id, None)
        current = self._core.store.again(instance)
        if current is None:
            return
        if final == "TERMINATED":
            self._terminated(current)
        else:
            self._deadlines.forget(current)
            self._set(current, final)
        self._metadata_server.close(instance.id)

    def _terminated(self, instance: Record) -> None:
        self._deadlines.forget(instance)
        if instance.body["status"] != "TERMINATED":
            now = timestamp(self._core.clock.now())
            nics = self._addresses.release_ephemeral(instance)
            self._set(instance, "TERMINATED", lastStopTimestamp=now, networkInterfaces=nics)

    def _set(self, instance: Record, status: str, **more: object) -> None:
        current = self._core.store.again(instance)
        if current is not None:
            self._core.store.put_best_effort(current.changed(status=status, **more))
            self._core.changes.notify(f"status/{instance.id}")
            self.notify(current)

    def _need(self, instance: Record) -> Machine:
        machine = self.find(instance)
        if machine is None:
            raise OperationError("RESOURCE_NOT_READY", f"The instance '{instance.path}' is off")
        return machine

    def spec(self, instance: Record) -> MachineSpec:
        """The machine of an instance."""
        kind = catalog.machine_type(links.last(instance.body["machineType"]))
        assert kind is not None  # checked when it was set
        nic = instance.body["networkInterfaces"][0]
        configs = nic.get("accessConfigs", [])
        return MachineSpec(
            machine_id=instance.id,
            name=instance.name,
            project=instance.project,
            zone=links.last(instance.scope),
            cpus=kind.cpus,
            emulated_cpus=kind.emulated_cpus,
            memory_mb=kind.memory_mb,
            attachments=tuple(self.attachment(instance, disk) for disk in instance.body["disks"]),
            nic=Nic(nic["networkIP"], configs[0].get("natIP") if configs else None),
            network=links.last(nic["network"]),
            ports=self._ports(instance),
            display=bool(instance.body.get("displayDevice", {}).get("enableDisplay")),
        )

    def _ports(self, instance: Record) -> tuple[int, ...]:
        rules = [r.body for r in self._core.store.all("firewalls", instance.project)]
        return tuple(dict.fromkeys((*PORTS, *firewall_ports.opened(rules, instance.body))))

    def attachment(self, instance: Record, disk: Json) -> Attachment:
        """The attachment of an entry of an instance's `disks`."""
        if local_ssds.is_local(disk):
            number = local_ssds.content_id(instance, disk)
            return Attachment(number, disk["deviceName"], False, local_ssd=disk["interface"])
        record = disk_of(self._core.store, disk)
        return Attachment(
            disk_id=record.id if record else "0",
            device_name=disk["deviceName"],
            boot=disk["boot"],
            read_only=disk["mode"] == "READ_ONLY",
        )


def _ignore_stop(_: StopReason) -> None:
    """Ignore that a machine has stopped: it was created only to be read or deleted."""
