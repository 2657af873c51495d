"""One look at a member and one step of its swap, by Compute Engine; blocking, so run in threads."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from bakehouse.cloud.hook import ComputeHook
from bakehouse.rollout.states import Facts, Step
from bakehouse.rollout.strategies.swap import Swap, attachment, boot_of, disk_body, facts

Resource = dict[str, Any]


def look(hook: ComputeHook, swap: Swap) -> Facts:
    """What stands now. The guest is asked only when its word could count."""
    instance = hook.instance(swap.zone, swap.member)
    if instance is None:
        return facts(swap, None, None, {})
    boot = boot_of(instance)
    on_the_goal = boot is not None and boot["name"] == swap.disk
    speaks = on_the_goal and instance["status"] == "RUNNING" and swap.speaks
    said = hook.guest_attributes(swap.zone, swap.member) if speaks else {}
    return facts(swap, instance, hook.disk(swap.zone, swap.disk), said)


def perform(hook: ComputeHook, step: Step, swap: Swap, request_id: str) -> Resource | None:
    """Ask for the step; the operation to wait for, None when there is none."""
    return _CALLS[step](hook, swap, request_id)


def _make_disk(hook: ComputeHook, swap: Swap, request_id: str) -> Resource | None:
    return hook.insert_disk(swap.zone, disk_body(swap, datetime.now(UTC)), request_id)


def _stop(hook: ComputeHook, swap: Swap, request_id: str) -> Resource:
    return hook.stop_instance(swap.zone, swap.member, request_id)


def _detach(hook: ComputeHook, swap: Swap, request_id: str) -> Resource | None:
    boot = boot_of(hook.instance(swap.zone, swap.member) or {})
    if boot is None:
        return None
    return hook.detach_disk(swap.zone, swap.member, boot["deviceName"], request_id)


def _attach(hook: ComputeHook, swap: Swap, request_id: str) -> Resource:
    url = f"projects/{hook.project}/zones/{swap.zone}/disks/{swap.disk}"
    return hook.attach_disk(swap.zone, swap.member, attachment(swap, url), request_id)


def _start(hook: ComputeHook, swap: Swap, request_id: str) -> Resource:
    return hook.start_instance(swap.zone, swap.member, request_id)


_CALLS: dict[Step, Callable[[ComputeHook, Swap, str], Resource | None]] = {
    Step.MAKE_DISK: _make_disk,
    Step.STOP: _stop,
    Step.DETACH: _detach,
    Step.ATTACH: _attach,
    Step.START: _start,
}
