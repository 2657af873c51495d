"""The commands that change settings of instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core import limits
from localgce.core.errors import ApiError, condition_not_met
from localgce.instances import validation

if TYPE_CHECKING:
    from localgce.core.context import Context
    from localgce.core.errors import Json
    from localgce.core.store import Record


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
    _check_stopped(instance, "setMachineType")
    found = validation.check_machine_type(context, machine_type)
    for attached in instance.body["disks"]:
        validation.check_disk_type(found, context.at(context.link(attached["source"], "source")))
    return _change(context, instance, machineType=found)


def set_service_account(context: Context, instance: Record, account: Json) -> Record:
    """Change the service account of a stopped instance."""
    _check_stopped(instance, "setServiceAccount")
    accounts = [account] if account.get("email") else []
    shown = validation.service_accounts(context, {"serviceAccounts": accounts})
    return _change(context, instance, serviceAccounts=shown)


def set_deletion_protection(context: Context, instance: Record, protected: bool) -> Record:
    """Set whether the instance is protected against deletion."""
    return _change(context, instance, deletionProtection=protected)


def _change(context: Context, instance: Record, **changes: object) -> Record:
    return context.begin(instance, "instances.change", changes=changes)


def _check_stopped(instance: Record, verb: str) -> None:
    if instance.body["status"] != "TERMINATED":
        text = f"The instance must be stopped to {verb}."
        raise ApiError(400, "invalidResourceUsage", f"Invalid resource usage: '{text}'.")
