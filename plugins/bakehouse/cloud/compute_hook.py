"""The calls to Compute Engine that Bakehouse makes, with the discovery client."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from bakehouse.cloud import console_pages
from bakehouse.cloud.address_calls import AddressCalls
from bakehouse.cloud.calls import PAGE, Resource, authentication_errors
from bakehouse.cloud.group_calls import GroupCalls
from bakehouse.core.errors import PermanentError
from bakehouse.images.image_kinds import MACHINE_IMAGE

if TYPE_CHECKING:
    from collections.abc import Mapping


class ComputeHook(GroupCalls, AddressCalls):
    """Compute Engine v1 of one connection."""

    # -- pages ----------------------------------------------------------------------------------

    def image_page(self, name: str, project: str | None = None, kind: str = "") -> str:
        """Return the address of the image's page."""
        page = (
            console_pages.machine_image_page if kind == MACHINE_IMAGE else console_pages.image_page
        )
        return page(project or self.project, name, self.endpoint)

    def instance_page(self, zone: str, name: str) -> str:
        """Return the address of the VM's page."""
        return console_pages.instance_page(self.project, zone, name, self.endpoint)

    def serial_page(self, zone: str, name: str) -> str:
        """Return the address of its serial output."""
        return console_pages.serial_page(self.project, zone, name, self.endpoint)

    # -- images ---------------------------------------------------------------------------------

    def image(self, name: str, project: str | None = None) -> Resource | None:
        """The image, or None."""
        call = self._client.images().get(project=project or self.project, image=name)
        return self._find(call, f"get image {name}")

    def image_of_family(self, project: str, family: str) -> Resource | None:
        """The newest image of a family that is not deprecated, or None."""
        call = self._client.images().getFromFamily(project=project, family=family)
        return self._find(call, f"get the newest image of {project}/{family}")

    def images(self, filter_: str, project: str | None = None) -> list[Resource]:
        """The images of a project (ours) that match, deprecated ones too."""
        api, where = self._client.images(), project or self.project
        return self._pages(
            api.list, api.list_next, f"list images of {where}", project=where, filter=filter_
        )

    def insert_image(self, body: Resource, request_id: str) -> Resource | None:
        """Create an image; the operation, or None if it exists already."""
        name, run = body["name"], body["labels"]
        call = self._client.images().insert(project=self.project, body=body, requestId=request_id)
        return self._create(call, f"create image {name}", lambda: self.image(name), run)

    def patch_image(self, name: str, body: Resource, request_id: str) -> Resource:
        """Change family or description."""
        call = self._client.images().patch(
            project=self.project, image=name, body=body, requestId=request_id
        )
        return self._repeat(call, f"change image {name}")

    def label_image(self, image: Resource, changes: Mapping[str, str | None]) -> Resource:
        """Set labels of an image just read (None removes one); TransientError if it has changed."""
        body = {
            "labels": _changed(image, changes),
            "labelFingerprint": image["labelFingerprint"],
        }
        call = self._client.images().setLabels(
            project=self.project, resource=image["name"], body=body
        )
        return self._repeat(call, f"label image {image['name']}")

    def delete_image(self, name: str, request_id: str) -> Resource | None:
        """Delete; None if it does not exist any more."""
        call = self._client.images().delete(project=self.project, image=name, requestId=request_id)
        return self._remove(call, f"delete image {name}")

    def deprecate_image(self, name: str, body: Resource, request_id: str) -> Resource | None:
        """Set a DeprecationStatus; None if the image does not exist."""
        call = self._client.images().deprecate(
            project=self.project, image=name, body=body, requestId=request_id
        )
        return self._remove(call, f"make image {name} {body['state']}")

    def machine_images(self, filter_: str = "") -> list[Resource]:
        """The project's machine images that match."""
        api = self._client.machineImages()
        return self._pages(api.list, api.list_next, "list machine images", filter=filter_ or None)

    def machine_image(self, name: str) -> Resource | None:
        """The machine image, or None."""
        call = self._client.machineImages().get(project=self.project, machineImage=name)
        return self._find(call, f"get machine image {name}")

    def insert_machine_image(self, body: Resource, request_id: str) -> Resource | None:
        """Create one; the operation, or None if it exists already."""
        name, run = body["name"], body["labels"]
        call = self._client.machineImages().insert(
            project=self.project, body=body, requestId=request_id
        )
        doing = f"create machine image {name}"
        return self._create(call, doing, lambda: self.machine_image(name), run)

    def label_machine_image(self, image: Resource, changes: Mapping[str, str | None]) -> Resource:
        """Set labels of one just read (None removes one); TransientError if it has changed."""
        body = {
            "labels": _changed(image, changes),
            "labelFingerprint": image["labelFingerprint"],
        }
        call = self._client.machineImages().setLabels(
            project=self.project, resource=image["name"], body=body
        )
        return self._repeat(call, f"label machine image {image['name']}")

    def delete_machine_image(self, name: str, request_id: str) -> Resource | None:
        """Delete; None if it does not exist any more."""
        call = self._client.machineImages().delete(
            project=self.project, machineImage=name, requestId=request_id
        )
        return self._remove(call, f"delete machine image {name}")

    # -- instances ------------------------------------------------------------------------------

    def instance(self, zone: str, name: str) -> Resource | None:
        """The instance, or None."""
        call = self._client.instances().get(project=self.project, zone=zone, instance=name)
        return self._find(call, f"get {name}")

    def instances(self, zone: str, filter_: str) -> list[Resource]:
        """A zone's instances that match."""
        api = self._client.instances()
        return self._pages(
            api.list, api.list_next, f"list instances in {zone}", zone=zone, filter=filter_
        )

    def instance_states(self, zone: str, filter_: str) -> list[Resource]:
        """List names, states and their times only: a builder's metadata has up to 100 kB."""
        api, doing = self._client.instances(), f"get all instances in {zone}"
        only = "items(name,status,lastStartTimestamp,lastStopTimestamp),nextPageToken"
        return self._pages(api.list, api.list_next, doing, zone=zone, filter=filter_, fields=only)

    def instances_everywhere(self, filter_: str) -> list[Resource]:
        """List those of all zones, with one call."""
        return self._scopes(self._client.instances(), "instances", filter_)

    def insert_instance(self, zone: str, body: Resource, request_id: str) -> Resource | None:
        """Create an instance; the operation, or None if it exists already."""
        name = body["name"]
        call = self._client.instances().insert(
            project=self.project, zone=zone, body=body, requestId=request_id
        )
        return self._create(
            call, f"create {name} in {zone}", lambda: self.instance(zone, name), body["labels"]
        )

    def delete_instance(self, zone: str, name: str, request_id: str) -> Resource | None:
        """Delete; None if it does not exist any more."""
        call = self._client.instances().delete(
            project=self.project, zone=zone, instance=name, requestId=request_id
        )
        return self._remove(call, f"delete {name} in {zone}")

    def label_instance(
        self, zone: str, instance: Resource, changes: Mapping[str, str | None]
    ) -> Resource:
        """Set labels of an instance just read; TransientError if it has changed."""
        body = {
            "labels": _changed(instance, changes),
            "labelFingerprint": instance["labelFingerprint"],
        }
        call = self._client.instances().setLabels(
            project=self.project, zone=zone, instance=instance["name"], body=body
        )
        return self._repeat(call, f"label {instance['name']}")

    def set_metadata(self, zone: str, instance: Resource, body: Resource) -> Resource:
        """Replace all metadata of an instance just read; TransientError if it has changed."""
        body = {**body, "fingerprint": instance["metadata"]["fingerprint"]}
        call = self._client.instances().setMetadata(
            project=self.project, zone=zone, instance=instance["name"], body=body
        )
        return self._repeat(call, f"set the metadata of {instance['name']}")

    def set_scheduling(self, zone: str, name: str, body: Resource, request_id: str) -> Resource:
        """Change the given values; None removes one."""
        call = self._client.instances().setScheduling(
            project=self.project, zone=zone, instance=name, body=body, requestId=request_id
        )
        return self._repeat(call, f"set the scheduling of {name}")

    def serial_output(self, zone: str, name: str, start: int) -> Resource:
        """`{contents, start, next}` of port 1 from byte `start`; negative counts from the end."""
        call = self._client.instances().getSerialPortOutput(
            project=self.project, zone=zone, instance=name, port=1, start=start
        )
        return self._find(call, f"read the serial port of {name}") or {}

    def guest_attributes(self, zone: str, name: str) -> dict[str, str]:
        """What the guest has written below `bakehouse/`; empty if there is nothing."""
        call = self._client.instances().getGuestAttributes(
            project=self.project, zone=zone, instance=name, queryPath="bakehouse/"
        )
        try:
            found = self._find(call, f"read the guest attributes of {name}") or {}
        except PermanentError as denied:
            self.log.info("%s", denied)
            return {}
        items = (found.get("queryValue") or {}).get("items") or []
        return {str(item["key"]): str(item.get("value", "")) for item in items}

    # -- disks ----------------------------------------------------------------------------------

    def disk(self, zone: str, name: str) -> Resource | None:
        """The disk, or None."""
        call = self._client.disks().get(project=self.project, zone=zone, disk=name)
        return self._find(call, f"get disk {name}")

    def disks(self, zone: str, filter_: str) -> list[Resource]:
        """A zone's disks that match."""
        api = self._client.disks()
        return self._pages(
            api.list, api.list_next, f"list disks in {zone}", zone=zone, filter=filter_
        )

    def disks_everywhere(self, filter_: str) -> list[Resource]:
        """List those of all zones, with one call."""
        return self._scopes(self._client.disks(), "disks", filter_)

    def delete_disk(self, zone: str, name: str, request_id: str) -> Resource | None:
        """Delete; None if it does not exist any more."""
        call = self._client.disks().delete(
            project=self.project, zone=zone, disk=name, requestId=request_id
        )
        return self._remove(call, f"delete disk {name} in {zone}")

    def label_disk(self, zone: str, disk: Resource, changes: Mapping[str, str | None]) -> Resource:
        """Set labels of a disk just read (None removes one); TransientError if it has changed."""
        body = {"labels": _changed(disk, changes), "labelFingerprint": disk["labelFingerprint"]}
        call = self._client.disks().setLabels(
            project=self.project, zone=zone, resource=disk["name"], body=body
        )
        return self._repeat(call, f"label disk {disk['name']}")

    def insert_disk(self, zone: str, body: Resource, request_id: str) -> Resource | None:
        """Create a disk; the operation, or None if it exists already."""
        name = body["name"]
        call = self._client.disks().insert(
            project=self.project, zone=zone, body=body, requestId=request_id
        )
        return self._create(
            call, f"create disk {name}", lambda: self.disk(zone, name), body["labels"]
        )

    # -- the steps of a swap: asked for once; OutcomeUnknown: look before asking again

    def stop_instance(self, zone: str, name: str, request_id: str) -> Resource:
        """Stop the instance."""
        call = self._client.instances().stop(
            project=self.project, zone=zone, instance=name, requestId=request_id
        )
        return self._change(call, f"stop {name}")

    def start_instance(self, zone: str, name: str, request_id: str) -> Resource:
        """Start the instance."""
        call = self._client.instances().start(
            project=self.project, zone=zone, instance=name, requestId=request_id
        )
        return self._change(call, f"start {name}")

    def detach_disk(self, zone: str, name: str, device: str, request_id: str) -> Resource:
        """Detach the disk of that device name; a boot disk only from a stopped instance."""
        call = self._client.instances().detachDisk(
            project=self.project, zone=zone, instance=name, deviceName=device, requestId=request_id
        )
        return self._change(call, f"detach {device} from {name}")

    def attach_disk(self, zone: str, name: str, body: Resource, request_id: str) -> Resource:
        """Attach a disk; `body` is an AttachedDisk."""
        call = self._client.instances().attachDisk(
            project=self.project, zone=zone, instance=name, body=body, requestId=request_id
        )
        return self._change(call, f"attach a disk to {name}")

    def set_disk_auto_delete(
        self, zone: str, name: str, device: str, *, auto_delete: bool, request_id: str
    ) -> Resource:
        """Say whether the deletion of the instance deletes this disk too."""
        call = self._client.instances().setDiskAutoDelete(
            project=self.project,
            zone=zone,
            instance=name,
            deviceName=device,
            autoDelete=auto_delete,
            requestId=request_id,
        )
        return self._repeat(call, f"set autoDelete of {device} of {name}")

    # -- operations -----------------------------------------------------------------------------

    def operation(self, zone: str | None, name: str, region: str = "") -> Resource | None:
        """Get an operation, without zone and region a global one; None if it is gone."""
        if region:
            call = self._client.regionOperations().get(
                project=self.project, region=region, operation=name
            )
        elif zone is None:
            call = self._client.globalOperations().get(project=self.project, operation=name)
        else:
            call = self._client.zoneOperations().get(
                project=self.project, zone=zone, operation=name
            )
        return self._find(call, f"get operation {name}")

    def operations(self, zone: str | None) -> list[Resource]:
        """List the newest 500 operations of a zone, or global ones, newest first."""
        newest = {"project": self.project, "maxResults": PAGE, "orderBy": "creationTimestamp desc"}
        if zone is None:
            call = self._client.globalOperations().list(**newest)
        else:
            call = self._client.zoneOperations().list(**newest, zone=zone)
        return list(
            self._read(call, f"list operations of {zone or 'the project'}").get("items", [])
        )


def _changed(resource: Resource, changes: Mapping[str, str | None]) -> dict[str, str]:
    labels = {**resource.get("labels", {}), **changes}
    return {key: value for key, value in labels.items() if value is not None}


_hooks = threading.local()


def hook_of(gcp_conn_id: str) -> ComputeHook:
    """Return this thread's hook of a connection; blocking, for the threads of triggers."""
    known: dict[str, ComputeHook] = _hooks.__dict__.setdefault("known", {})
    if gcp_conn_id not in known:
        with authentication_errors(f"the connection {gcp_conn_id}"):
            known[gcp_conn_id] = ComputeHook(gcp_conn_id=gcp_conn_id)
    return known[gcp_conn_id]
