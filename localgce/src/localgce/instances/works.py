"""The works of instances: made, started, stopped, deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.disks import works as disk_works
from localgce.errors import OperationError
from localgce.operations import Work, work
from localgce.state.store import Record

if TYPE_CHECKING:
    from localgce.service import Service


async def undo_insert(task: Work) -> None:
    """What fails leaves nothing behind: neither the instance nor the disks made for it."""
    service, instance = task.service, task.target
    await service.lifecycle.delete(instance, 0)
    _release(service, instance)
    for attached in instance.body["disks"]:
        disk = disk_works.at(service, attached)
        if disk is None:
            continue
        if disk.name in task.args["new_disks"]:
            await disk_works.delete(service, disk)
        else:
            disk_works.let_go(service, disk, instance)
    service.store.delete(instance)


@work("instances.insert", undo=undo_insert)
async def insert(task: Work) -> None:
    """Fill the disks, switch on."""
    for attached in task.target.body["disks"]:
        disk = disk_works.at(task.service, attached)
        if disk is not None:
            disk_works.warn_of_deprecated(task, disk)
            await disk_works.fill(task.service, disk)
    task.progress(50)
    await task.service.lifecycle.start(task.target)


@work("instances.delete", takes_over=True)
async def delete(task: Work) -> None:
    """Stop, and remove with the disks that go with it."""
    await remove(task.service, task.target)


async def remove(service: Service, instance: Record) -> None:
    """Stop the instance and remove it, its autoDelete disks and its guest attributes."""
    grace = service.settings.shutdown_grace
    current = service.store.again(instance) or instance
    await service.lifecycle.delete(current, grace)
    current = service.store.again(instance) or instance
    for attached in current.body["disks"]:
        disk = disk_works.at(service, attached)
        if disk is None:
            continue
        disk_works.let_go(service, disk, current)
        if attached["autoDelete"]:
            await disk_works.delete(service, disk)
    _release(service, current)
    service.guest_attributes.forget(current)
    service.store.delete(current)
    service.changes.notify(f"instance/{current.id}")
    service.groups.instance_changed(current)


def _release(service: Service, instance: Record) -> None:
    service.addresses.forget(instance)


@work("instances.start")
async def start(task: Work) -> None:
    """TERMINATED to RUNNING."""
    if task.target.body["status"] == "RUNNING":
        return
    if not any(disk["boot"] for disk in task.target.body["disks"]):
        text = f"The instance '{task.target.path}' has no boot disk."
        raise OperationError("INVALID_USAGE", text)
    await task.service.lifecycle.start(task.target)


@work("instances.stop")
async def stop(task: Work) -> None:
    """RUNNING to TERMINATED."""
    await task.service.lifecycle.stop(task.target, task.service.settings.shutdown_grace)


@work("instances.reset")
async def reset(task: Work) -> None:
    """The reset button."""
    await task.service.lifecycle.reset(task.target)


@work("instances.suspend")
async def suspend(task: Work) -> None:
    """RUNNING to SUSPENDED."""
    await task.service.lifecycle.suspend(task.target)


@work("instances.resume")
async def resume(task: Work) -> None:
    """SUSPENDED to RUNNING."""
    await task.service.lifecycle.resume(task.target)
