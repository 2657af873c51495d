"""Observe a member and perform one action of its swap; blocking, so it runs in a thread."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bakehouse.core.errors import FAILURES
from bakehouse.rollout import recreate
from bakehouse.rollout.boot_disks import attachment, disk_body, old_disk_labels
from bakehouse.rollout.config_change import is_set, with_values
from bakehouse.rollout.instance_facts import boot_of
from bakehouse.rollout.states import Action, Disk, Strategy
from bakehouse.rollout.strategies.swap import Swap, is_old, observe

if TYPE_CHECKING:
    from collections.abc import Callable

    from bakehouse.cloud.compute_hook import ComputeHook
    from bakehouse.cloud.request_id import RequestIds
    from bakehouse.rollout.observation import MemberObservation

Resource = dict[str, Any]


def look(hook: ComputeHook, swap: Swap, *, is_checked: bool = False) -> MemberObservation:
    """Observe the member. The guest attributes are read only if they may count.

    `is_checked`: the goal's disk has been seen to be the right one. Where it is attached, it is not
    read again: a boot takes many looks.
    """
    instance = hook.instance(swap.zone, swap.member)
    if instance is None:
        disk = hook.disk(swap.zone, swap.disk) if swap.strategy.inserts else None
        is_left = swap.strategy is Strategy.REMOVE and recreate.is_left(hook, swap)
        return dataclasses.replace(observe(swap, None, disk, {}), is_left=is_left)
    boot = boot_of(instance)
    on_the_goal = boot is not None and boot["name"] == swap.disk
    # before a second try too: what the first one says in the end is not said by the second
    counts = on_the_goal or bool(swap.first_try)
    speaks = counts and instance["status"] == "RUNNING" and swap.speaks
    said = hook.guest_attributes(swap.zone, swap.member) if speaks else {}
    if is_checked and on_the_goal:
        return dataclasses.replace(observe(swap, instance, None, said), goal_disk=Disk.READY)
    return observe(swap, instance, hook.disk(swap.zone, swap.disk), said)


def perform(hook: ComputeHook, step: Action, swap: Swap, ids: RequestIds) -> Resource | None:
    """Request the action; return the operation to wait for, if there is one."""
    return _CALLS[step](hook, swap, ids)


def _make_disk(hook: ComputeHook, swap: Swap, ids: RequestIds) -> Resource | None:
    _label_old_disk(hook, swap)
    return hook.insert_disk(swap.zone, disk_body(swap, datetime.now(UTC)), ids.of(Action.MAKE_DISK))


def _stop(hook: ComputeHook, swap: Swap, ids: RequestIds) -> Resource:
    return hook.stop_instance(swap.zone, swap.member, ids.of(Action.STOP))


def _detach(hook: ComputeHook, swap: Swap, ids: RequestIds) -> Resource | None:
    boot = boot_of(hook.instance(swap.zone, swap.member) or {})
    if boot is None:
        return None
    with suppress(*FAILURES):  # they were set before the stop; the member is down now
        _label_old_disk(hook, swap)
    return hook.detach_disk(swap.zone, swap.member, boot["deviceName"], ids.of(Action.DETACH))


def _label_old_disk(hook: ComputeHook, swap: Swap) -> None:
    """Label the disk that is about to be taken out, so that it can never be left unnoticed."""
    if swap.way == "back" or not swap.old.name:
        return
    disk = hook.disk(swap.zone, swap.old.name)
    if disk is not None and is_old(disk, swap.old):
        missing = old_disk_labels(swap, disk, datetime.now(UTC))
        if missing:
            hook.label_disk(swap.zone, disk, missing)


def _attach(hook: ComputeHook, swap: Swap, ids: RequestIds) -> Resource:
    url = f"projects/{hook.project}/zones/{swap.zone}/disks/{swap.disk}"
    return hook.attach_disk(swap.zone, swap.member, attachment(swap, url), ids.of(Action.ATTACH))


def _start(hook: ComputeHook, swap: Swap, ids: RequestIds) -> Resource:
    if swap.way == "back" and (asked := recreate.restore(hook, swap, ids)) is not None:
        return asked
    if (asked := _give_metadata(hook, swap)) is not None:
        return asked
    return hook.start_instance(swap.zone, swap.member, ids.of(Action.START))


def _give_metadata(hook: ComputeHook, swap: Swap) -> Resource | None:
    """Set the metadata that the member is to start with; None if it has them."""
    if swap.at_start is None:
        return None
    instance = hook.instance(swap.zone, swap.member)
    values = swap.at_start.values(swap.run, swap.way)
    if instance is None or is_set(instance, values):
        return None
    return hook.set_metadata(swap.zone, instance, with_values(instance["metadata"], values))


_CALLS: dict[Action, Callable[[ComputeHook, Swap, RequestIds], Resource | None]] = {
    Action.MAKE_DISK: _make_disk,
    Action.STOP: _stop,
    Action.DETACH: _detach,
    Action.ATTACH: _attach,
    Action.START: _start,
    Action.DELETE: recreate.delete,
    Action.INSERT: recreate.insert,
    Action.CLEAN_UP: recreate.clean_up,
}
