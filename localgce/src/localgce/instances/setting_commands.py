"""The commands that change settings of instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core import limits, links
from localgce.core.errors import ApiError, condition_not_met, invalid
from localgce.instances import local_ssds, validation

if TYPE_CHECKING:
    from localgce.core.context import Context
    from localgce.core.errors import Json
    from localgce.core.store import Record


# of a body that was read before: what only the server sets
_NOT_CHANGED = {
    *("kind", "id", "creationTimestamp", "name", "selfLink", "zone", "status", "statusMessage"),
    *("fingerprint", "labelFingerprint", "cpuPlatform", "lastStartTimestamp", "resourceStatus"),
    *("lastStopTimestamp", "lastSuspendedTimestamp", "startRestricted", "satisfiesPzs"),
}
_UPDATED = {
    *("canIpForward", "deletionProtection", "description", "displayDevice", "labels"),
    *("machineType", "metadata", "minCpuPlatform", "scheduling", "shieldedInstanceConfig", "tags"),
}


def set_metadata(context: Context, instance: Record, given: Json) -> Record:
    """Replace all metadata; raises 412 unless the fingerprint is the current one."""
    limits.check_metadata(given.get("items", []), "metadata")
    current = instance.body["metadata"]
    limits.check_metadata_fingerprint(given.get("fingerprint"), current)
    return context.begin(
        instance,
        "instances.setMetadata",
        metadata=limits.metadata(given),
        was=current["fingerprint"],
    )


def set_tags(context: Context, instance: Record, given: Json) -> Record:
    """Replace the network tags; raises 412 unless the fingerprint is the current one."""
    current = instance.body["tags"]
    fingerprint = given.get("fingerprint")
    if fingerprint != current["fingerprint"] and (fingerprint or current.get("items")):
        raise condition_not_met("Supplied fingerprint does not match current tags fingerprint.")
    return _change(context, instance, tags=validation.tags(given, "resource"))


def set_scheduling(
    context: Context, instance: Record, given: Json, cleared: frozenset[str]
) -> Record:
    """Replace the given fields and remove the cleared ones; the provisioning model stays."""
    now = {k: v for k, v in instance.body["scheduling"].items() if k not in cleared}
    if given.get("provisioningModel", now["provisioningModel"]) != now["provisioningModel"]:
        text = "The provisioning model of an instance cannot be changed."
        raise ApiError(400, "invalidResourceUsage", f"Invalid resource usage: '{text}'.")
    return _change(context, instance, scheduling=validation.scheduling({**now, **given}))


def set_machine_type(context: Context, instance: Record, machine_type: str | None) -> Record:
    """Change the machine type of a stopped instance."""
    check_stopped(instance, "setMachineType")
    found = validation.check_machine_type(context, machine_type)
    local_ssds.check_machine_type(found, len(local_ssds.local_ssds(instance)))
    for attached in instance.body["disks"]:
        if local_ssds.is_local(attached):
            continue
        validation.check_disk_type(found, context.at(context.link(attached["source"], "source")))
    return _change(context, instance, machineType=found)


def set_service_account(context: Context, instance: Record, account: Json) -> Record:
    """Change the service account of a stopped instance."""
    check_stopped(instance, "setServiceAccount")
    accounts = [account] if account.get("email") else []
    shown = validation.service_accounts(context, {"serviceAccounts": accounts})
    return _change(context, instance, serviceAccounts=shown)


def set_deletion_protection(context: Context, instance: Record, protected: bool) -> Record:
    """Set whether the instance is protected against deletion."""
    return _change(context, instance, deletionProtection=protected)


def set_shielded_config(context: Context, instance: Record, given: Json) -> Record:
    """Change the given settings of a stopped Shielded VM."""
    merged = {**instance.body["shieldedInstanceConfig"], **given}
    changes = {"shieldedInstanceConfig": merged}
    return change_stopped(context, instance, changes, "updateShieldedInstanceConfig")


def change(context: Context, instance: Record, changes: Json) -> Record:
    """Replace fields that have no effect here."""
    return _change(context, instance, **changes)


def change_stopped(context: Context, instance: Record, changes: Json, verb: str) -> Record:
    """Replace fields of a stopped instance."""
    check_stopped(instance, verb)
    return _change(context, instance, **changes)


def update(context: Context, instance: Record, given: Json) -> Record:
    """Replace the settings that the body has; raises 400 for a change that localgce cannot make."""
    current = instance.body.get("fingerprint")
    if given.get("fingerprint", current) != current:
        raise condition_not_met("Supplied fingerprint does not match current fingerprint.")
    changes: Json = {}
    for field, value in given.items():
        if field in _NOT_CHANGED or instance.body.get(field) == value:
            continue
        if field not in _UPDATED:
            text = "localgce cannot change this field of an instance by update."
            raise invalid(f"resource.{field}", "", text)
        changes[field] = value
    if "metadata" in changes:
        limits.check_metadata(changes["metadata"].get("items", []))
        changes["metadata"] = limits.metadata(changes["metadata"])
    if "tags" in changes:
        changes["tags"] = validation.tags(changes["tags"])
    if "labels" in changes:
        limits.check_labels(changes["labels"])
        changes.update(limits.label_fields(changes["labels"]))
    if "scheduling" in changes:
        changes["scheduling"] = validation.scheduling(changes["scheduling"])
    if "machineType" in changes:
        check_stopped(instance, "update")
        changes["machineType"] = validation.check_machine_type(context, changes["machineType"])
    return _change(context, instance, **changes)


def add_policies(context: Context, record: Record, given: list[str]) -> Record:
    """Attach resource policies to an instance or a disk; raises 404 for one that is not there."""
    found = validation.resource_policies(context, given, "resourcePolicies")
    now = record.body.get("resourcePolicies", [])
    return _set_policies(context, record, [*now, *(link for link in found if link not in now)])


def remove_policies(context: Context, record: Record, given: list[str]) -> Record:
    """Detach resource policies; what is not attached is refused."""
    now = record.body.get("resourcePolicies", [])
    gone = [links.url(context.link(value, "resourcePolicies").path) for value in given]
    for link in gone:
        if link not in now:
            raise invalid("resourcePolicies", link, "The policy is not attached.")
    return _set_policies(context, record, [link for link in now if link not in gone])


def _set_policies(context: Context, record: Record, policies: list[str]) -> Record:
    handler = "instances.change" if record.kind == "instances" else "kept.patch"
    return context.begin(record, handler, changes={"resourcePolicies": policies or None})


def _change(context: Context, instance: Record, **changes: object) -> Record:
    return context.begin(instance, "instances.change", changes=changes)


def check_stopped(instance: Record, verb: str) -> None:
    """Raise 400 unless the instance is TERMINATED."""
    if instance.body["status"] != "TERMINATED":
        text = f"The instance must be stopped to {verb}."
        raise ApiError(400, "invalidResourceUsage", f"Invalid resource usage: '{text}'.")
