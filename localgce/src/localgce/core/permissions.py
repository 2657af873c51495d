"""Which permissions a request needs, and the answer to a caller who lacks one.

Every caller has every permission, unless a fault of the kind `deny_permission` takes one away.

Sources: the section "IAM Permissions" of each method in Google's REST reference of Compute Engine,
and "Permissions required for this task" of
https://cloud.google.com/compute/docs/instances/create-start-instance, both read in November 2026.
What depends on the resource that is changed, and not on the request, is left out: that who sets the
metadata of a machine with a service account, or attaches a disk to it, must be allowed to act as
that account.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core.errors import ApiError, Json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_VERBS = {
    "insert": "create",
    "bulkInsert": "create",
    "aggregatedList": "list",
    "patch": "update",
    "wait": "get",
    "testIamPermissions": "list",
}
# resources of a region or a zone whose permissions are those of their global kind, or of the zone
_KINDS = {
    "regionInstanceTemplates": "instanceTemplates",
    "regionInstanceGroupManagers": "instanceGroupManagers",
    "regionInstanceGroups": "instanceGroups",
    "regionDisks": "disks",
    "regionAutoscalers": "autoscalers",
}
_OF_GROUPS = {"insert", "delete", "get", "list", "aggregatedList", "testIamPermissions"}
# what is made of the template when a group is created or changed
_OF_TEMPLATES = (
    "compute.disks.create",
    "compute.images.useReadOnly",
    "compute.instanceTemplates.useReadOnly",
    "compute.instances.create",
    "compute.instances.setMetadata",
    "compute.subnetworks.use",
)
_USES_TEMPLATE = {"insert", "patch", "update", "setInstanceTemplate"}
# what an insert of an instance needs besides, by the field that asks for it
_INSTANCE_FIELDS = {
    "metadata": ("compute.instances.setMetadata",),
    "labels": ("compute.instances.setLabels",),
    "tags": ("compute.instances.setTags",),
    "serviceAccounts": ("compute.instances.setServiceAccount", "iam.serviceAccounts.actAs"),
    "sourceMachineImage": ("compute.machineImages.useReadOnly", "compute.networks.use"),
}
_SOURCES = {
    "sourceImage": "compute.images.useReadOnly",
    "sourceSnapshot": "compute.snapshots.useReadOnly",
    "sourceDisk": "compute.disks.useReadOnly",
}
_CHANGE_THE_NETWORK = {
    *("compute.firewalls.insert", "compute.firewalls.patch", "compute.firewalls.update"),
    *("compute.firewalls.delete", "compute.routes.insert", "compute.routes.delete"),
    *("compute.subnetworks.insert", "compute.subnetworks.delete"),
}


def permission_of(method: str) -> str:
    """`compute.instances.create` for the method `compute.instances.insert`."""
    _, resource, verb = method.split(".")
    kind = _KINDS.get(resource, resource)
    if kind == "imageFamilyViews":
        return "compute.images.getFromFamily"
    if kind == "instanceGroupManagers" and verb not in _OF_GROUPS:
        verb = "get" if verb.startswith("list") else "update"
    return f"compute.{kind}.{_VERBS.get(verb, verb)}"


def needed(method: str, body: Json, query: Mapping[str, object] | None = None) -> list[str]:
    """All permissions that a request needs, that of its method first, each once."""
    _, resource, verb = method.split(".")
    found = [permission_of(method)]
    if verb == "patch":
        found.append(f"compute.{_KINDS.get(resource, resource)}.get")
    if method in _CHANGE_THE_NETWORK:
        found.append("compute.networks.updatePolicy")
    if _KINDS.get(resource, resource) == "instanceGroupManagers" and verb in _USES_TEMPLATE:
        found += _OF_TEMPLATES
    found += _of_body(method, body)
    if query and query.get("sourceInstanceTemplate"):
        found.append("compute.instanceTemplates.useReadOnly")
    return list(dict.fromkeys(found))


def _of_body(method: str, body: Json) -> Iterator[str]:
    kind = method.split(".")[1]
    if method == "compute.instances.insert":
        yield from _of_instance(body)
    elif method == "compute.instances.attachDisk":
        yield _use_of(body)
    elif method == "compute.instances.setDiskAutoDelete":
        yield "compute.disks.update"
    elif method == "compute.disks.createSnapshot":
        yield "compute.snapshots.create"
    elif method == "compute.addresses.insert":
        yield from _of_address(body)
    elif method == "compute.addresses.delete":
        yield "compute.addresses.deleteInternal"
    elif method == "compute.machineImages.insert":
        yield from ("compute.disks.createSnapshot", "compute.instances.useReadOnly")
    elif method == "compute.instanceTemplates.insert":
        properties = body.get("properties") or {}
        yield from ["iam.serviceAccounts.actAs"] if properties.get("serviceAccounts") else []
    if method in {"compute.disks.insert", "compute.images.insert", "compute.snapshots.insert"}:
        yield from _of_disk(body)
    if method.endswith(".insert") and kind != "instances" and body.get("labels"):
        yield f"compute.{kind}.setLabels"


def _of_instance(body: Json) -> Iterator[str]:
    for disk in _objects(body.get("disks")):
        if "initializeParams" in disk:
            parameters = disk["initializeParams"] or {}
            yield "compute.disks.create"
            yield from _of_disk(parameters)
            yield from ["compute.disks.setLabels"] if parameters.get("labels") else []
        elif disk.get("source"):
            yield _use_of(disk)
    for field, names in _INSTANCE_FIELDS.items():
        yield from names if body.get(field) else ()
    yield "compute.subnetworks.use"
    for nic in _objects(body.get("networkInterfaces")):
        yield from ["compute.addresses.useInternal"] if nic.get("networkIP") else []
        for access in _objects(nic.get("accessConfigs")):
            yield "compute.subnetworks.useExternalIp"
            yield from ["compute.addresses.use"] if access.get("natIP") else []
    yield from ["compute.resourcePolicies.use"] if body.get("resourcePolicies") else []


def _of_disk(body: Json) -> Iterator[str]:
    yield from (need for field, need in _SOURCES.items() if body.get(field))
    yield from ["compute.resourcePolicies.use"] if body.get("resourcePolicies") else []


def _of_address(body: Json) -> Iterator[str]:
    if body.get("addressType") == "INTERNAL":
        yield from ("compute.addresses.createInternal", "compute.subnetworks.use")


def _use_of(attached: Json) -> str:
    read_only = attached.get("mode") == "READ_ONLY"
    return "compute.disks.useReadOnly" if read_only else "compute.disks.use"


def _objects(values: object) -> list[Json]:
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []


def forbidden(permission: str, path: str) -> ApiError:
    """403 as Compute Engine words it; `path` is project-relative."""
    return ApiError(403, "forbidden", f"Required '{permission}' permission for '{path}'")
