"""What the guests of instant machines can use of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localgce.metadata.tree import attributes, instance_tree

if TYPE_CHECKING:
    from localgce.core.context import Core
    from localgce.core.store import Record
    from localgce.metadata.guest_attributes import GuestAttributes


class ServerGuestEnvironment:
    """The `GuestEnvironment` of instant machines in a server."""

    def __init__(self, core: Core, guest_attributes: GuestAttributes) -> None:
        """Connect the guests with this server."""
        self._core = core
        self._guest_attributes = guest_attributes

    def metadata(self, machine_id: str) -> dict[str, Any]:
        """The `instance/` tree."""
        instance = self._instance(machine_id)
        project = self._core.project_record(instance.project)
        return instance_tree(self._core.store, instance, project)

    def project_attributes(self, machine_id: str) -> dict[str, str]:
        """The project's metadata."""
        project = self._core.project_record(self._instance(machine_id).project)
        return attributes(project.body["commonInstanceMetadata"])

    async def metadata_changed(self, machine_id: str) -> None:
        """Wait for the next change of the instance's or the project's metadata."""
        project = self._instance(machine_id).project
        await self._core.changes.wait(f"instance/{machine_id}", f"project/{project}")

    async def guest_attribute(self, machine_id: str, namespace: str, key: str, value: str) -> None:
        """Write a value; raises PermissionError when guest attributes are not enabled."""
        instance = self._instance(machine_id)
        if not self._guest_attributes.enabled(instance):
            raise PermissionError("guest attributes are not enabled")
        self._guest_attributes.put(instance, namespace, key, value)

    async def sleep(self, seconds: float) -> None:
        """Wait, in the server's time."""
        await self._core.clock.sleep(seconds)

    def _instance(self, machine_id: str) -> Record:
        found = self._core.store.by_id("instances", machine_id)
        if found is None:
            raise LookupError(f"there is no instance {machine_id}")
        return found
