"""What happens to disks: filled, attached, let go, deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.clock import stamp
from localgce.errors import OperationError
from localgce.resources import links
from localgce.state.store import Record

if TYPE_CHECKING:
    from localgce.operations import Work
    from localgce.service import Service


def warn_of_deprecated(task: Work, disk: Record) -> None:
    """A deprecated image can be used; the operation says which should be."""
    kind, project, name = (disk.private.get("source") or ["", "", ""])[:3]
    image = task.service.store.get(kind, project, "global", name)
    deprecated = image.body.get("deprecated", {}) if image else {}
    if image is None or deprecated.get("state") != "DEPRECATED":
        return
    text = f"The resource '{image.path}' is deprecated."
    if deprecated.get("replacement"):
        replacement = deprecated["replacement"].removeprefix(links.BASE)
        text += f" A suggested replacement is '{replacement}'."
    task.warn("DEPRECATED_RESOURCE_USED", text)


async def fill(service: Service, disk: Record) -> None:
    """CREATING to READY: wait for the source, make the content. Safe to repeat."""
    current = service.store.again(disk)
    if current is None or current.body["status"] != "CREATING":
        return
    size = int(disk.body["sizeGb"])
    source = disk.private.get("source")
    if source is None:
        await service.host.disks.create_blank(disk.id, size)
    else:
        layer = await _layer(service, source)
        await service.host.disks.create_from_layer(disk.id, layer, size)
    current = service.store.again(disk)
    if current is not None:
        service.store.put(current.changed(status="READY"))


async def _layer(service: Service, source: list[str]) -> str:
    kind, project, name = source[:3]
    record = service.store.get(kind, project, "global", name)
    if record is None:
        text = f"The source 'projects/{project}/global/{kind}/{name}' is gone"
        raise OperationError("RESOURCE_NOT_FOUND", text, 404)
    await service.public_images.ready(record)
    if kind == "machineImages":
        saved: str = record.private["layers"][source[3]]
        return saved
    layer: str = record.private["layer"]
    return layer


def take(service: Service, disk: Record, instance: Record) -> None:
    """Note that the instance uses the disk."""
    current = service.store.again(disk) or disk
    users = [*(u for u in current.body.get("users", []) if u != instance.link), instance.link]
    now = stamp(service.clock.now())
    service.store.put(current.changed(users=users, lastAttachTimestamp=now))


def let_go(service: Service, disk: Record, instance: Record) -> None:
    """Note that it no longer does."""
    current = service.store.again(disk)
    if current is None:
        return
    users = [user for user in current.body.get("users", []) if user != instance.link]
    now = stamp(service.clock.now())
    service.store.put(current.changed(users=users or None, lastDetachTimestamp=now))


async def delete(service: Service, disk: Record) -> None:
    """Content and record. Safe to repeat."""
    await service.host.disks.delete_disk(disk.id)
    service.store.delete(disk)


def at(service: Service, attached: dict[str, str]) -> Record | None:
    """The disk of an entry of an instance's `disks`."""
    link = links.parse(attached["source"], project="", field="source")
    return service.store.get("disks", link.project, link.scope, link.name)
