"""What instant machines' guests reach of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localgce.metadata.tree import attributes, boot_image, instance_tree
from localgce.state.store import Record

if TYPE_CHECKING:
    from localgce.service import Service


class ServiceWorld:
    """The `instant.World` of a service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def metadata(self, machine_id: str) -> dict[str, Any]:
        """The `instance/` tree."""
        instance = self._instance(machine_id)
        project = self._service.project_record(instance.project)
        return instance_tree(instance, project, boot_image(self._service.store, instance))

    def project_attributes(self, machine_id: str) -> dict[str, str]:
        """The project's metadata."""
        project = self._service.project_record(self._instance(machine_id).project)
        return attributes(project.body["commonInstanceMetadata"])

    async def metadata_changed(self, machine_id: str) -> None:
        """The next change of either."""
        project = self._instance(machine_id).project
        await self._service.changes.wait(f"instance/{machine_id}", f"project/{project}")

    async def guest_attribute(self, machine_id: str, namespace: str, key: str, value: str) -> None:
        """Write; raises PermissionError when guest attributes are not enabled."""
        instance = self._instance(machine_id)
        if not self._service.guest_attributes.enabled(instance):
            raise PermissionError("guest attributes are not enabled")
        self._service.guest_attributes.put(instance, namespace, key, value)

    async def sleep(self, seconds: float) -> None:
        """In the server's time."""
        await self._service.clock.sleep(seconds)

    def _instance(self, machine_id: str) -> Record:
        found = self._service.store.by_id("instances", machine_id)
        if found is None:
            raise LookupError(f"there is no instance {machine_id}")
        return found
