"""Delete a member's instance and create it; blocking, so it runs in a thread.

Each call is one step: whoever is killed between two of them looks again and does what is left. All
that is made has the run's label in its insert, so that a retry finds its own.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from bakehouse.core.errors import FAILURES, PermanentError
from bakehouse.images import labels
from bakehouse.images.links import labels_of, project_of, resource_name
from bakehouse.rollout.boot_disks import attachment
from bakehouse.rollout.machine import (
    Reserved,
    address_body,
    data_disk_labels,
    instance_body,
    is_address_of,
)
from bakehouse.rollout.states import Action, Strategy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bakehouse.cloud.compute_hook import ComputeHook
    from bakehouse.cloud.request_id import RequestIds
    from bakehouse.rollout.strategies.swap import Swap

Resource = dict[str, Any]


def insert(hook: ComputeHook, swap: Swap, ids: RequestIds) -> Resource | None:
    """Make the next thing that the member lacks: a data disk, an address, or its instance."""
    machine = swap.machine
    if machine is None:
        raise PermanentError(f"nothing says what the instance {swap.member} is to be like")
    for body in machine.disks:
        disk = hook.disk(swap.zone, body["name"])
        if disk is None:
            return hook.insert_disk(swap.zone, body, ids.of(Action.INSERT, body["name"]))
        if disk.get("status") != "READY":
            return None
    addresses: dict[str, str] = {}
    for wanted in machine.addresses:
        found = hook.address(wanted.region, wanted.name)
        if found is None:
            body = address_body(wanted, swap.owner)
            return hook.insert_address(wanted.region, body, ids.of(Action.INSERT, wanted.name))
        if found.get("status") == "RESERVING":
            return None
        _check_address(swap, wanted, found)
        addresses[wanted.kind] = str(found["address"])
    url = f"projects/{hook.project}/zones/{swap.zone}/disks/{swap.disk}"
    whole = instance_body(machine, attachment(swap, url), addresses)
    return hook.insert_instance(swap.zone, whole, ids.of(Action.INSERT))


def delete(hook: ComputeHook, swap: Swap, ids: RequestIds) -> Resource | None:
    """Delete the instance after its disks were told to stay; one call at a time."""
    instance = hook.instance(swap.zone, swap.member)
    if instance is None:
        return None
    for disk in instance.get("disks") or []:
        goes = disk.get("boot") and swap.strategy is Strategy.REMOVE
        if disk.get("autoDelete") and not goes:
            device = str(disk["deviceName"])
            return hook.set_disk_auto_delete(
                swap.zone,
                swap.member,
                device,
                auto_delete=False,
                request_id=ids.of(Action.DELETE, device),
            )
    if swap.strategy is Strategy.RECREATE:
        with suppress(*FAILURES):  # the member is down; labels only help whoever looks for disks
            _label_data_disks(hook, swap, instance)
    return hook.delete_instance(swap.zone, swap.member, ids.of(Action.DELETE))


def restore(hook: ComputeHook, swap: Swap, ids: RequestIds) -> Resource | None:
    """Undo the next thing that was said about disks, for an instance that was not deleted yet."""
    instance = hook.instance(swap.zone, swap.member) if swap.machine is not None else None
    if swap.machine is None or instance is None or str(instance["id"]) != swap.id:
        return None
    had = {disk["deviceName"]: disk.get("autoDelete") for disk in swap.machine.body["disks"]}
    had[swap.old.device_name] = swap.old.auto_delete
    for disk in instance.get("disks") or []:
        device = str(disk["deviceName"])
        if had.get(device) and not disk.get("autoDelete"):
            return hook.set_disk_auto_delete(
                swap.zone,
                swap.member,
                device,
                auto_delete=True,
                request_id=ids.of(Action.START, f"restore {device}"),
            )
    return None


def clean_up(hook: ComputeHook, swap: Swap, ids: RequestIds) -> Resource | None:
    """Delete the next thing that this run has made for the member that it has created."""
    return next((delete_it(ids) for delete_it in _left(hook, swap)), None)


def is_left(hook: ComputeHook, swap: Swap) -> bool:
    """Whether there is anything that this run has made for the member."""
    return any(True for _ in _left(hook, swap))


class _Left:
    """Something that this run has made, to be deleted."""

    def __init__(self, hook: ComputeHook, kind: str, place: str, name: str) -> None:
        self.hook, self.kind, self.place, self.name = hook, kind, place, name

    def __call__(self, ids: RequestIds) -> Resource | None:
        """Delete it."""
        known = ids.of(Action.CLEAN_UP, f"{self.kind} {self.name}")
        if self.kind == "address":
            return self.hook.delete_address(self.place, self.name, known)
        return self.hook.delete_disk(self.place, self.name, known)


def _left(hook: ComputeHook, swap: Swap) -> Iterator[_Left]:
    """Find what is to be deleted, the boot disk last: by it a later try knows what was begun.

    A data disk or an address that was there before this run is not of this run, and stays.
    """
    machine = swap.machine
    for body in machine.disks if machine else ():
        if _is_unused_own(hook, swap, body["name"]):
            yield _Left(hook, "disk", swap.zone, body["name"])
    for wanted in machine.addresses if machine else ():
        found = hook.address(wanted.region, wanted.name)
        if found is not None and is_address_of(found, swap.run) and not found.get("users"):
            yield _Left(hook, "address", wanted.region, wanted.name)
    for name in reversed(swap.disks):
        if _is_unused_own(hook, swap, name):
            yield _Left(hook, "disk", swap.zone, name)


def _is_unused_own(hook: ComputeHook, swap: Swap, name: str) -> bool:
    disk = hook.disk(swap.zone, name)
    return (
        disk is not None and labels_of(disk).get(labels.RUN) == swap.run and not disk.get("users")
    )


def _label_data_disks(hook: ComputeHook, swap: Swap, instance: Resource) -> None:
    """Say of each data disk whose it is: the instance that knows it is about to go."""
    for attached in instance.get("disks") or []:
        source = str(attached.get("source", ""))
        if attached.get("boot") or "/regions/" in source or project_of(source) != hook.project:
            continue
        disk = hook.disk(swap.zone, resource_name(source))
        told = data_disk_labels(swap.owner, str(attached.get("deviceName", "")))
        changes = {key: told[key] for key in told if key != labels.RUN}
        if disk is not None and not labels_of(disk).items() >= changes.items():
            hook.label_disk(swap.zone, disk, {**changes})


def _check_address(swap: Swap, wanted: Reserved, found: Resource) -> None:
    users = [name for user in found.get("users") or [] if (name := resource_name(user))]
    if others := [name for name in users if name != swap.member]:
        raise PermanentError(
            f"the address {wanted.name} of {swap.member} is used by {', '.join(others)}"
        )
    if str(found.get("addressType", "EXTERNAL")) != wanted.kind:
        raise PermanentError(
            f"the address {wanted.name} of {swap.member} is not {wanted.kind.lower()}: it is"
            f" {str(found.get('addressType', 'EXTERNAL')).lower()}"
        )
