"""What instances do: start, stop, end by themselves, come back after a restart of the server.

Here the API's states meet the machines. Everything that changes a state goes through `_set`.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from localgce.clock import stamp
from localgce.errors import Json, OperationError
from localgce.instances import deadlines
from localgce.instances import works as instance_works
from localgce.machines.contract import Attachment, Machine, MachineSpec, Nic, StopReason
from localgce.resources import catalog, links
from localgce.state.store import Record

if TYPE_CHECKING:
    from localgce.service import Service

log = logging.getLogger("localgce")
PREEMPTION_SECONDS = 30.0
NOTICE_SECONDS = 60.0  # between the announcement of a maintenance and the maintenance
PORTS = (80, 443, 8080, 8443, 9092, 9093, 9644)
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
    """A machine that is switched on, or being switched on or off."""

    machine: Machine
    stopping: bool = False
    stopped: asyncio.Event = field(default_factory=asyncio.Event)


class Lifecycle:
    """All instances' machines, by instance id."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._live: dict[str, Live] = {}

    def find(self, instance: Record) -> Machine | None:
        """The machine of an instance that is on."""
        live = self._live.get(instance.id)
        return live.machine if live else None

    def serial(self, instance: Record, port: int, start: int) -> tuple[bytes, int, int]:
        """Serial output, also of a machine that is off."""
        machine = self.find(instance) or self._off_machine(instance)
        return machine.serial(port, start)

    async def start(self, instance: Record) -> None:
        """Switch on; RUNNING when the guest's processor runs, TERMINATED when it cannot."""
        self._set(instance, "STAGING")
        try:
            instance = self._with_addresses(instance)
            await self._switch_on(instance)
        except Exception:
            self._off(instance, "TERMINATED")
            raise
        current = self._service.store.again(instance)
        if current is None or instance.id not in self._live:
            return  # it was off again at once, and `_stopped` has said so
        self._service.store.put(current.kept(preempted=False))
        end = self._service.deadlines.end_of(current.body.get("scheduling", {}))
        now = stamp(self._service.clock.now())
        more = {"lastStartTimestamp": now, "resourceStatus": deadlines.shown(end)}
        self._set(instance, "RUNNING", **more)
        self._service.deadlines.watch(self._service.store.again(instance) or instance)

    def _with_addresses(self, instance: Record) -> Record:
        current = self._service.store.again(instance) or instance
        interfaces = self._service.addresses.take_ephemeral(current)
        return self._service.store.put(current.changed(networkInterfaces=interfaces))

    async def stop(self, instance: Record, grace: float, *, final: str = "TERMINATED") -> None:
        """Press the button, wait for the grace in seconds, pull the plug."""
        live = self._live.get(instance.id)
        if live is not None:
            live.stopping = True
            current = self._service.store.again(instance)
            if current is not None and current.body["status"] == "SUSPENDED":
                await live.machine.resume()
            self._set(instance, "STOPPING")
            await self._power_off(live, grace)
        self._off(instance, final)

    async def suspend(self, instance: Record) -> None:
        """Stop the processor, keep the memory."""
        machine = self._need(instance)
        self._set(instance, "SUSPENDING")
        try:
            await machine.pause()
        except Exception:
            self._set(instance, "RUNNING")
            raise
        now = stamp(self._service.clock.now())
        self._set(instance, "SUSPENDED", lastSuspendedTimestamp=now)

    async def resume(self, instance: Record) -> None:
        """Let it go on."""
        await self._need(instance).resume()
        self._set(instance, "RUNNING")

    async def reset(self, instance: Record) -> None:
        """Press the reset button."""
        await self._need(instance).reset()

    async def delete(self, instance: Record, grace: float) -> None:
        """Stop, and forget the machine."""
        await self.stop(instance, grace, final="STOPPING")
        machine = self._off_machine(instance)
        await machine.delete()
        self._service.metadata_server.close(instance.id)

    async def preempt(self, instance: Record) -> None:
        """What Compute Engine does to a Spot VM: button, 30 seconds, off, or deleted."""
        message = "Instance was preempted."
        self._service.operations.system(instance, "compute.instances.preempted", message)
        current = self._service.store.again(instance)
        if current is not None:
            self._service.store.put(current.kept(preempted=True))
            self._service.changes.notify(f"instance/{instance.id}")
        await self.stop(instance, PREEMPTION_SECONDS)
        scheduling = instance.body.get("scheduling", {})
        if scheduling.get("instanceTerminationAction") == "DELETE":
            await instance_works.remove(self._service, instance)

    async def maintain(self, instance: Record) -> None:
        """A maintenance of the host: announced, then migrated (nothing is seen of it here), or
        stopped and started again."""
        scheduling = instance.body.get("scheduling", {})
        how = scheduling.get("onHostMaintenance", "MIGRATE")
        self._announce(instance, f"{how}_ON_HOST_MAINTENANCE")
        await self._service.clock.sleep(NOTICE_SECONDS)
        kind = f"compute.instances.{how.lower()}OnHostMaintenance"
        message = f"Instance {how.lower()}d due to host maintenance."
        self._service.operations.system(instance, kind, message)
        if how == "TERMINATE":
            await self.stop(instance, self._service.settings.shutdown_grace)
            if scheduling.get("automaticRestart", True):
                await self.start(instance)
        self._announce(instance, "NONE")

    def _announce(self, instance: Record, event: str) -> None:
        current = self._service.store.again(instance)
        if current is not None:
            self._service.store.put(current.kept(maintenance=event))
            self._service.changes.notify(f"instance/{instance.id}")

    async def host_error(self, instance: Record) -> None:
        """The host under the machine dies; it starts again if `automaticRestart` says so."""
        await self.kill(instance)
        current = self._service.store.again(instance)
        if current and current.body.get("scheduling", {}).get("automaticRestart", True):
            message = "Instance was automatically restarted by Compute Engine."
            kind = "compute.instances.automaticRestart"
            self._service.operations.system(instance, kind, message)
            await self.start(current)

    async def kill(self, instance: Record) -> None:
        """Pull the plug of a machine, as a dying host would."""
        machine = self.find(instance)
        if machine is not None:
            await machine.kill()

    async def recover(self) -> None:
        """After a restart: adopt the machines that still run, declare the others TERMINATED."""
        for instance in self._service.store.all("instances"):
            if instance.body["status"] == "TERMINATED":
                continue
            machine = self._make(instance).machine
            if machine.running:
                await self._switch_on(instance)
                self._service.deadlines.watch(instance)
                if instance.body["status"] == "SUSPENDED":
                    await machine.pause()
            elif not self._service.operations.busy(instance):
                self._lost(instance)
            else:
                del self._live[instance.id]

    async def close(self, grace: float) -> None:
        """Power all machines off, within the grace in seconds; states are kept as TERMINATED."""
        running = [r for r in self._service.store.all("instances") if r.id in self._live]
        await asyncio.gather(*(self.stop(r, grace) for r in running), return_exceptions=True)

    async def _switch_on(self, instance: Record) -> None:
        live = self._live.get(instance.id) or self._make(instance)
        if self._service.host.asks_by_socket:
            await self._service.metadata_server.open(instance.id)
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

        machine = self._service.host.machine(self.spec(instance), stopped)
        live = Live(machine)
        self._live[instance.id] = live
        return live

    def _off_machine(self, instance: Record) -> Machine:
        return self._service.host.machine(self.spec(instance), lambda reason: None)

    def _stopped(self, instance: Record, live: Live, reason: StopReason) -> None:
        live.stopped.set()
        if live.stopping:
            return
        self._live.pop(instance.id, None)
        self._service.metadata_server.close(instance.id)
        current = self._service.store.again(instance)
        if current is None:
            return
        kind, message = _SYSTEM[reason]
        self._terminated(current)
        self._service.operations.system(current, kind, message)

    def _lost(self, instance: Record) -> None:
        self._live.pop(instance.id, None)
        self._terminated(instance)
        kind, message = _SYSTEM[StopReason.KILLED]
        self._service.operations.system(instance, kind, message)

    async def _power_off(self, live: Live, grace: float) -> None:
        await live.machine.power_down()
        if not await self._within(live.stopped, grace):
            await live.machine.kill()

    async def _within(self, event: asyncio.Event, seconds: float) -> bool:
        if event.is_set():
            return True
        waits = [
            asyncio.ensure_future(event.wait()),
            asyncio.ensure_future(self._service.clock.sleep(seconds)),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return event.is_set()

    def _off(self, instance: Record, final: str) -> None:
        self._live.pop(instance.id, None)
        current = self._service.store.again(instance)
        if current is None:
            return
        if final == "TERMINATED":
            self._terminated(current)
        else:
            self._service.deadlines.forget(current)
            self._set(current, final)
        self._service.metadata_server.close(instance.id)

    def _terminated(self, instance: Record) -> None:
        self._service.deadlines.forget(instance)
        if instance.body["status"] != "TERMINATED":
            now = stamp(self._service.clock.now())
            nics = self._service.addresses.give_back_ephemeral(instance)
            self._set(instance, "TERMINATED", lastStopTimestamp=now, networkInterfaces=nics)

    def _set(self, instance: Record, status: str, **more: object) -> None:
        current = self._service.store.again(instance)
        if current is not None:
            self._service.store.note(current.changed(status=status, **more))
            self._service.changes.notify(f"status/{instance.id}")
            self._service.groups.instance_changed(current)

    def _need(self, instance: Record) -> Machine:
        machine = self.find(instance)
        if machine is None:
            raise OperationError("RESOURCE_NOT_READY", f"The instance '{instance.path}' is off")
        return machine

    def spec(self, instance: Record) -> MachineSpec:
        """The machine of an instance, from what the API knows of it."""
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
            memory_mb=kind.memory_mb,
            attachments=tuple(self.attachment(instance, disk) for disk in instance.body["disks"]),
            nic=Nic(nic["networkIP"], configs[0].get("natIP") if configs else None),
            ports=PORTS,
        )

    def attachment(self, instance: Record, disk: Json) -> Attachment:
        """One entry of an instance's `disks`, as the machine gets it."""
        link = links.parse(disk["source"], project=instance.project, field="source")
        record = self._service.store.get("disks", link.project, link.scope, link.name)
        return Attachment(
            disk_id=record.id if record else "0",
            device_name=disk["deviceName"],
            boot=disk["boot"],
            read_only=disk["mode"] == "READ_ONLY",
        )
