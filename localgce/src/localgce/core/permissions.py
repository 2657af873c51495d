"""Which permission a method needs, and the answer to a caller who lacks it.

Every caller has every permission, unless a fault of the kind `deny_permission` takes one away.
"""

from __future__ import annotations

from localgce.core.errors import ApiError, Json

_VERBS = {
    "insert": "create",
    "bulkInsert": "create",
    "aggregatedList": "list",
    "patch": "update",
    "wait": "get",
}
# what an insert of an instance needs besides, by the field that asks for it
_INSTANCE_FIELDS = {
    "metadata": "compute.instances.setMetadata",
    "labels": "compute.instances.setLabels",
    "tags": "compute.instances.setTags",
    "serviceAccounts": "iam.serviceAccounts.actAs",
}
_SOURCES = {
    "sourceImage": "compute.images.useReadOnly",
    "sourceSnapshot": "compute.snapshots.useReadOnly",
    "sourceDisk": "compute.disks.useReadOnly",
}


def permission_of(method: str) -> str:
    """`compute.instances.create` for the method `compute.instances.insert`."""
    _, resource, verb = method.split(".")
    if resource == "imageFamilyViews":
        return "compute.images.getFromFamily"
    if resource == "instanceGroupManagers" and verb not in {"insert", "delete", "get", "list"}:
        verb = "get" if verb.startswith("list") else "update"
    return f"compute.{resource}.{_VERBS.get(verb, verb)}"


def needed(method: str, body: Json) -> list[str]:
    """All permissions that a request needs, that of its method first."""
    found = [permission_of(method)]
    if method == "compute.instances.insert":
        found += [need for field, need in _INSTANCE_FIELDS.items() if body.get(field)]
        disks = [disk for disk in body.get("disks", []) if isinstance(disk, dict)]
        if any("initializeParams" in disk for disk in disks):
            found.append("compute.disks.create")
        found.append("compute.subnetworks.use")
        nics = [nic for nic in body.get("networkInterfaces", []) if isinstance(nic, dict)]
        if any(nic.get("accessConfigs") for nic in nics):
            found.append("compute.subnetworks.useExternalIp")
    elif method in {"compute.disks.insert", "compute.images.insert", "compute.snapshots.insert"}:
        found += [need for field, need in _SOURCES.items() if body.get(field)]
    elif method == "compute.disks.createSnapshot":
        found.append("compute.snapshots.create")
    return found


def forbidden(permission: str, path: str) -> ApiError:
    """403 as Compute Engine words it; `path` is project-relative."""
    return ApiError(403, "forbidden", f"Required '{permission}' permission for '{path}'")
