"""Instances: what of their settings can be changed."""

from __future__ import annotations

from typing import Any

from localgce.api import labels
from localgce.errors import ApiError, Json, OperationError, condition_not_met, not_ready
from localgce.http.call import Call
from localgce.instances import body as instance_body
from localgce.operations import Work, work
from localgce.resources import limits
from localgce.state.store import Record

set_labels = labels.set_labels


def set_metadata(call: Call) -> Json:
    """Replace all metadata; the fingerprint must be that of now, else 412."""
    instance = call.record()
    items = call.body.get("items", [])
    limits.check_metadata(items, "metadata")
    current = instance.body["metadata"]
    limits.check_metadata_fingerprint(call.body.get("fingerprint"), current)
    return call.begin(
        instance,
        "instances.setMetadata",
        metadata=limits.metadata(call.body),
        was=current["fingerprint"],
    )


@work("instances.setMetadata")
def replace_metadata(task: Work) -> None:
    """Only if nobody changed it since the call; the guest hears of it."""
    new = task.args["metadata"]
    if task.target.body["metadata"]["fingerprint"] not in {task.args["was"], new["fingerprint"]}:
        text = "Supplied fingerprint does not match current metadata fingerprint."
        raise OperationError("CONDITION_NOT_MET", text, 412)
    task.service.store.put(task.target.changed(metadata=new))
    task.service.changes.notify(f"instance/{task.target.id}")


def set_tags(call: Call) -> Json:
    """Replace the network tags; the fingerprint must be that of now, else 412."""
    instance = call.record()
    current = instance.body["tags"]
    given = call.body.get("fingerprint")
    if given != current["fingerprint"] and (given or current.get("items")):
        raise condition_not_met("Supplied fingerprint does not match current tags fingerprint.")
    return _change(call, instance, tags=instance_body.tags(call.body, "resource"))


def set_scheduling(call: Call) -> Json:
    """Replace what the given fields say, clear those that are null; the model stays."""
    instance = call.record()
    now = {k: v for k, v in instance.body["scheduling"].items() if k not in call.cleared}
    if call.body.get("provisioningModel", now["provisioningModel"]) != now["provisioningModel"]:
        text = "The provisioning model of an instance cannot be changed."
        raise ApiError(400, "invalidResourceUsage", f"Invalid resource usage: '{text}'.")
    return _change(call, instance, scheduling=instance_body.scheduling({**now, **call.body}))


def set_machine_type(call: Call) -> Json:
    """Another size, for one that is off."""
    instance = _off(call)
    given = call.body.get("machineType")
    return _change(call, instance, machineType=instance_body.check_machine_type(call, given))


def set_service_account(call: Call) -> Json:
    """Another service account, for one that is off."""
    instance = _off(call)
    accounts = [call.body] if call.body.get("email") else []
    shown = instance_body.service_accounts(call, {"serviceAccounts": accounts})
    return _change(call, instance, serviceAccounts=shown)


def set_deletion_protection(call: Call) -> Json:
    """Whether it can be deleted."""
    wanted = call.query.get("deletionProtection", True)
    return _change(call, call.record(), deletionProtection=wanted)


def simulate_maintenance_event(call: Call) -> Json:
    """What a maintenance of the host does to one that is on."""
    instance = call.record()
    if instance.body["status"] != "RUNNING":
        raise not_ready(instance.path)
    return call.begin(instance, "instances.simulateMaintenanceEvent")


def _change(call: Call, instance: Record, **changes: Any) -> Json:
    return call.begin(instance, "instances.change", changes=changes)


def _off(call: Call) -> Record:
    instance = call.record()
    if instance.body["status"] != "TERMINATED":
        text = f"The instance must be stopped to {call.method.verb}."
        raise ApiError(400, "invalidResourceUsage", f"Invalid resource usage: '{text}'.")
    return instance


@work("instances.change")
def change(task: Work) -> None:
    """Replace fields; the guest hears of it."""
    task.service.store.put(task.target.changed(**task.args["changes"]))
    task.service.changes.notify(f"instance/{task.target.id}")


@work("instances.simulateMaintenanceEvent")
async def maintain(task: Work) -> None:
    """Announce, then migrate or stop as the scheduling says."""
    await task.service.lifecycle.maintain(task.target)
