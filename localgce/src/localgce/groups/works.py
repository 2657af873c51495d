"""What is done to managed instances, one function each. All are safe to repeat from the start,
because a kill can come between any two steps; they raise OperationError or ApiError."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.api import instances
from localgce.control.faults import CALL_KINDS
from localgce.errors import Json, OperationError
from localgce.groups import members as group_members
from localgce.groups import stateful as group_stateful
from localgce.groups import templates as group_templates
from localgce.http.call import Call
from localgce.instances.body import tags
from localgce.operations import KINDS
from localgce.resources import limits, links
from localgce.state.store import Record

if TYPE_CHECKING:
    from localgce.service import Service

_HOUR = 3600.0


async def create(service: Service, group: Record, member: Record) -> None:
    """An instance of the member's version, with what is preserved; wait until it runs."""
    instance = group_members.instance_of(service, member)
    if instance is None:
        await _insert(service, group, member)
    else:
        await _settle(service, instance)
    instance = group_members.instance_of(service, member)
    if instance is None or instance.body["status"] not in {"RUNNING", "TERMINATED"}:
        raise OperationError("INTERNAL_ERROR", f"The instance '{member.name}' did not start", 500)
    keep_state(service, group, member)


async def recreate(service: Service, group: Record, member: Record) -> None:
    """The same name, another instance; disks and addresses of the stateful policy stay."""
    keep_state(service, group, member)
    instance = group_members.instance_of(service, member)
    if instance is not None and instance.id == member.private["old"]:
        await _do(service, "delete", instance)
    member = service.store.again(member) or member
    await create(service, group, member)


async def restart(service: Service, group: Record, member: Record) -> None:
    """Off and on, with what of the template needs no new disk."""
    instance = group_members.instance_of(service, member)
    if instance is None:
        await create(service, group, member)
        return
    await _settle(service, instance)
    if (service.store.again(instance) or instance).body["status"] == "RUNNING":
        await _do(service, "stop", instance)
    await refresh(service, group, member)
    await _do(service, "start", instance)


async def refresh(service: Service, group: Record, member: Record) -> None:
    """Metadata, labels, tags (and of one that is off the machine type) of the template."""
    instance = group_members.instance_of(service, member)
    if instance is None:
        return
    await _settle(service, instance)
    instance = service.store.again(instance) or instance
    template = member.private["version"]["instanceTemplate"]
    given = group_templates.properties(service, group.project, template)
    metadata = group_templates.metadata(group, given, template)
    changes: Json = {
        "metadata": limits.metadata(metadata),
        "tags": tags(given.get("tags")),
        "labels": None,
        **limits.label_fields(group_templates.labels(group, given)),
    }
    if instance.body["status"] == "TERMINATED":
        kind = links.last(given["machineType"])
        path = f"projects/{group.project}/{group.scope}/machineTypes/{kind}"
        changes["machineType"] = links.url(path)
    service.store.put(instance.changed(**changes))
    service.changes.notify(f"instance/{instance.id}")


async def delete(service: Service, group: Record, member: Record) -> None:
    """Instance and member, and of what is preserved what goes with them."""
    keep_state(service, group, member)
    instance = group_members.instance_of(service, member)
    if instance is not None:
        await _do(service, "delete", instance)
    current = service.store.again(member) or member
    await group_stateful.give_up(service, group.project, current.private["preserved"])
    service.store.delete(member)


def keep_state(service: Service, group: Record, member: Record) -> None:
    """Note what the stateful policy preserves of the instance as it is."""
    current = service.store.again(member)
    instance = group_members.instance_of(service, member)
    if current is None or instance is None:
        return
    before = current.private["preserved"]
    with service.store.transaction():
        found = group_stateful.preserve(service, group, instance, before)
        if found != before:
            service.store.put(current.kept(preserved=found))


async def _insert(service: Service, group: Record, member: Record) -> None:
    template = member.private["version"]["instanceTemplate"]
    given = group_templates.properties(service, group.project, template)
    preserved = member.private["preserved"]
    body = group_templates.insert_body(group, given, member.name, template, preserved)
    call = _call(service, "insert", group, member.name, body)
    call.query["sourceInstanceTemplate"] = template
    with service.store.transaction():
        operation = instances.insert(call)
        instance = group_members.instance_of(service, member)
        if instance is not None:
            service.store.put(instance.kept(group=group.id))
    await _outcome(service, group, operation["name"])


async def _do(service: Service, verb: str, instance: Record) -> None:
    """A call of instances on one that is there, to its end."""
    call = _call(service, verb, instance, instance.name, {})
    with service.store.transaction():
        operation = call.begin(instance, f"instances.{verb}")
    await _outcome(service, instance, operation["name"])


def _call(service: Service, verb: str, where: Record, name: str, body: Json) -> Call:
    """A call as a client could have made it, so that faults hit it too."""
    method = service.discovery.methods[f"compute.instances.{verb}"]
    path = {"project": where.project, "zone": links.last(where.scope), "instance": name}
    rules = service.faults.for_call(method.id, name)
    call = Call(
        service, method, path, {}, body, faults=[r for r in rules if r.kind not in CALL_KINDS]
    )
    for rule in rules:
        if rule.kind == "http":
            raise rule.call_error()
    return call


async def _outcome(service: Service, where: Record, name: str) -> None:
    operation = service.store.get("zoneOperations", where.project, where.scope, name)
    while operation is not None and operation.body["status"] != "DONE":
        operation = await service.operations.wait(operation, _HOUR)
    if operation is not None and "error" in operation.body:
        error = operation.body["error"]["errors"][0]
        status = operation.body["httpErrorStatusCode"]
        raise OperationError(error["code"], error["message"], status)


async def _settle(service: Service, instance: Record) -> None:
    """Wait for the operations on it."""
    for kind in KINDS:
        for operation in service.store.all(kind, instance.project, instance.scope):
            if operation.body["targetId"] == instance.id:
                await service.operations.wait(operation, _HOUR)
