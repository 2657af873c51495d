"""What Compute Engine itself does to instances: preemption, maintenance, host errors, expiry."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from localgce.core.context import Core
    from localgce.core.store import Record
    from localgce.instances.lifecycle import Lifecycle
    from localgce.instances.removal import Removal

PREEMPTION_SECONDS = 30.0
NOTICE_SECONDS = 60.0  # between the announcement of a maintenance and the maintenance


class Interruptions:
    """Interrupts instances, and records the system operations of that."""

    def __init__(self, core: Core, lifecycle: Lifecycle, removal: Removal) -> None:
        """Stop, start and remove with these."""
        self._core = core
        self._lifecycle = lifecycle
        self._removal = removal

    async def preempt(self, instance: Record) -> None:
        """Preempt a Spot VM: 30 seconds after the power button it is stopped or deleted."""
        message = "Instance was preempted."
        self._core.operations.system(instance, "compute.instances.preempted", message)
        self._set_private(instance, preempted=True)
        await self._lifecycle.stop(instance, PREEMPTION_SECONDS)
        scheduling = instance.body.get("scheduling", {})
        if scheduling.get("instanceTerminationAction") == "DELETE":
            await self._removal.remove(instance)

    async def maintain(self, instance: Record) -> None:
        """Announce a maintenance of the host, then do what the scheduling says.

        A migration changes nothing here; with TERMINATE the instance stops and starts again.
        """
        scheduling = instance.body.get("scheduling", {})
        how = scheduling.get("onHostMaintenance", "MIGRATE")
        self._set_private(instance, maintenance=f"{how}_ON_HOST_MAINTENANCE")
        await self._core.clock.sleep(NOTICE_SECONDS)
        kind = f"compute.instances.{how.lower()}OnHostMaintenance"
        message = f"Instance {how.lower()}d due to host maintenance."
        self._core.operations.system(instance, kind, message)
        if how == "TERMINATE":
            await self._lifecycle.stop(instance, self._core.settings.shutdown_grace)
            if scheduling.get("automaticRestart", True):
                await self._lifecycle.start(instance)
        self._set_private(instance, maintenance="NONE")

    async def host_error(self, instance: Record) -> None:
        """Kill the machine; it starts again if `automaticRestart` says so."""
        await self._lifecycle.kill(instance)
        current = self._core.store.again(instance)
        if current and current.body.get("scheduling", {}).get("automaticRestart", True):
            message = "Instance was automatically restarted by Compute Engine."
            kind = "compute.instances.automaticRestart"
            self._core.operations.system(instance, kind, message)
            await self._lifecycle.start(current)

    async def expire(self, instance: Record) -> None:
        """Stop or delete an instance at the end of its run time."""
        current = self._core.store.again(instance)
        if current is None or current.body["status"] != "RUNNING":
            return
        action = current.body["scheduling"].get("instanceTerminationAction", "STOP").lower()
        message = "Instance was terminated at the end of its run time."
        self._core.operations.system(current, action, message)
        if action == "delete":
            await self._removal.remove(current)
        else:
            await self._lifecycle.stop(current, self._core.settings.shutdown_grace)

    def _set_private(self, instance: Record, **fields: object) -> None:
        current = self._core.store.again(instance)
        if current is not None:
            self._core.store.put(current.kept(**fields))
            self._core.changes.notify(f"instance/{instance.id}")
