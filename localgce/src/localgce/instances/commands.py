"""The commands that create, start, stop and delete instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core import catalog, errors, quotas
from localgce.core.errors import ApiError
from localgce.disks.attachments import add_user
from localgce.instances import insert_plan, local_ssds

if TYPE_CHECKING:
    from localgce.core.context import Context
    from localgce.core.errors import Json
    from localgce.core.store import Record
    from localgce.instances.addresses import Allocator

_BUSY = {"PROVISIONING", "STAGING", "STOPPING", "SUSPENDING", "REPAIRING"}


def insert(context: Context, addresses: Allocator, body: Json) -> Record:
    """Create an instance with its disks."""
    context.refuse_existing("instances", body["name"])
    plan = insert_plan.plan(context, addresses, body)
    for disk in [*plan.new_disks, *plan.attached]:
        add_user(context.store, context.now(), context.store.put(disk), plan.instance)
    context.store.put(plan.instance)
    new = [disk.name for disk in plan.new_disks]
    forced = plan.forced
    return context.begin(plan.instance, "instances.insert", new_disks=new, forced=forced)


def delete(context: Context, instance: Record) -> Record:
    """Delete the instance, and its disks with autoDelete."""
    if instance.body.get("deletionProtection"):
        text = f"Resource cannot be deleted if it's protected against deletion: {instance.path}"
        raise ApiError(400, "invalidResourceUsage", f"Invalid resource usage: '{text}'.")
    return context.begin(instance, "instances.delete")


def start(context: Context, instance: Record) -> Record:
    """Start; does nothing to a running instance."""
    _check_status(instance, "start", {"TERMINATED", "STOPPED", "RUNNING"})
    if instance.body["status"] != "RUNNING":
        wanted = {"CPUS": float(quotas.cpus(instance.body["machineType"]))}
        region = catalog.region_of(context.zone)
        context.core.quotas.check(context.project, region, wanted)
    return context.begin(instance, "instances.start")


def stop(context: Context, instance: Record, *, discard: bool | None = None) -> Record:
    """Stop; does nothing to a stopped instance.

    `discard` says whether the contents of local SSDs end, which a client must say.
    """
    _check_status(instance, "stop", {"RUNNING", "TERMINATED", "SUSPENDED"})
    local_ssds.check_discard(instance, discard)
    return context.begin(instance, "instances.stop", keep_local_ssds=discard is False)


def reset(context: Context, instance: Record) -> Record:
    """Press the reset button of a running instance."""
    _check_status(instance, "reset", {"RUNNING"})
    return context.begin(instance, "instances.reset")


def suspend(context: Context, instance: Record, *, discard: bool | None = None) -> Record:
    """Stop the CPU and keep the memory, and local SSDs whatever `discard` says."""
    _check_status(instance, "suspend", {"RUNNING"})
    local_ssds.check_discard(instance, discard)
    return context.begin(instance, "instances.suspend")


def resume(context: Context, instance: Record) -> Record:
    """Continue a suspended instance."""
    _check_status(instance, "resume", {"SUSPENDED"})
    return context.begin(instance, "instances.resume")


def simulate_maintenance_event(context: Context, instance: Record) -> Record:
    """Do to a running instance what a maintenance of the host does."""
    if instance.body["status"] != "RUNNING":
        raise errors.not_ready(instance.path)
    return context.begin(instance, "instances.simulateMaintenanceEvent")


def _check_status(instance: Record, verb: str, allowed: set[str]) -> None:
    status = instance.body["status"]
    if status in allowed:
        return
    if status in _BUSY:
        raise errors.not_ready(instance.path)
    wanted = " or ".join(sorted(allowed))
    text = f"Instance must be {wanted} to {verb}: '{instance.path}' is {status}."
    raise ApiError(400, "invalidResourceUsage", f"Invalid resource usage: '{text}'.")
