"""Instances: made, started, stopped, deleted."""

from __future__ import annotations

from localgce import errors
from localgce.disks import works as disk_works
from localgce.errors import ApiError, Json
from localgce.http.call import Call
from localgce.instances import body as instance_body
from localgce.instances import templates
from localgce.resources import catalog, quotas
from localgce.state.store import Record

_BUSY = {"PROVISIONING", "STAGING", "STOPPING", "SUSPENDING", "REPAIRING"}


def insert(call: Call) -> Json:
    """A new instance with its disks."""
    call.refuse_existing("instances", call.body["name"])
    plan = instance_body.plan(call, templates.body_of(call))
    store = call.service.store
    for disk in [*plan.new_disks, *plan.attached]:
        disk_works.take(call.service, store.put(disk), plan.instance)
    store.put(plan.instance)
    new = [disk.name for disk in plan.new_disks]
    return call.begin(plan.instance, "instances.insert", new_disks=new)


def delete(call: Call) -> Json:
    """The instance, and its disks with autoDelete."""
    instance = call.record()
    if instance.body.get("deletionProtection"):
        text = f"Resource cannot be deleted if it's protected against deletion: {instance.path}"
        raise ApiError(400, "invalidResourceUsage", f"Invalid resource usage: '{text}'.")
    return call.begin(instance, "instances.delete")


def start(call: Call) -> Json:
    """On again; nothing happens to one that is on."""
    instance = _at_rest(call, {"TERMINATED", "STOPPED", "RUNNING"})
    if instance.body["status"] != "RUNNING":
        wanted = {"CPUS": float(quotas.cpus(instance.body["machineType"]))}
        region = catalog.region_of(call.path["zone"])
        call.service.quotas.check(call.project, region, wanted)
    return call.begin(instance, "instances.start")


def stop(call: Call) -> Json:
    """Off; nothing happens to one that is off."""
    return call.begin(_at_rest(call, {"RUNNING", "TERMINATED", "SUSPENDED"}), "instances.stop")


def reset(call: Call) -> Json:
    """The reset button of one that is on."""
    return call.begin(_at_rest(call, {"RUNNING"}), "instances.reset")


def suspend(call: Call) -> Json:
    """The memory is kept, the processor stands."""
    return call.begin(_at_rest(call, {"RUNNING"}), "instances.suspend")


def resume(call: Call) -> Json:
    """A suspended instance goes on."""
    return call.begin(_at_rest(call, {"SUSPENDED"}), "instances.resume")


def _at_rest(call: Call, allowed: set[str]) -> Record:
    instance = call.record()
    status = instance.body["status"]
    if status in allowed:
        return instance
    if status in _BUSY:
        raise errors.not_ready(instance.path)
    wanted = " or ".join(sorted(allowed))
    text = f"Instance must be {wanted} to {call.method.verb}: '{instance.path}' is {status}."
    raise ApiError(400, "invalidResourceUsage", f"Invalid resource usage: '{text}'.")
