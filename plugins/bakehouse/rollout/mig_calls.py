"""Observe a managed instance group and request its changes; blocking, so it runs in a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bakehouse.core.errors import PermanentError
from bakehouse.images.links import resource_name
from bakehouse.rollout import members
from bakehouse.rollout.mig_plan import (
    OPPORTUNISTIC,
    GroupPlan,
    Version,
    policy_of,
    versions_of,
)
from bakehouse.rollout.mig_progress import GroupObservation, has_begun, managed
from bakehouse.rollout.mig_templates import copied, is_of_run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bakehouse.cloud.compute_hook import ComputeHook
    from bakehouse.rollout.health import Health
    from bakehouse.rollout.mig_progress import Managed
    from bakehouse.rollout.strategies.mig import GroupMove

Resource = dict[str, Any]


def look(
    hook: ComputeHook, move: GroupMove, reports: Mapping[str, Health | None]
) -> GroupObservation:
    """Observe the group by two calls; `reports` are those that are known already, by id."""
    group = hook.group(move.zone, move.member)
    if group is None:
        return GroupObservation(None)
    there = [managed(shown) for shown in hook.managed_instances(move.zone, move.member)]
    return GroupObservation(group, tuple(there), reports=reports)


def templates_there(hook: ComputeHook, move: GroupMove) -> frozenset[str]:
    """Return which of the templates of a move exist; refuse those of another run."""
    found = {new.name: hook.template(new.name) for new in move.templates}
    for name, template in found.items():
        if template is not None and not is_of_run(template, move.run):
            raise PermanentError(f"the template {name} exists, and this run has not created it")
    return frozenset(name for name, template in found.items() if template is not None)


def make_template(hook: ComputeHook, move: GroupMove, name: str, request: str) -> Resource | None:
    """Request a template of a move: a copy of the present one with another image."""
    new = next(template for template in move.templates if template.name == name)
    base = hook.template(new.base)
    if base is None:
        raise PermanentError(f"the template {resource_name(new.base)} does not exist any more")
    return hook.insert_template(copied(base, new), request, lambda t: is_of_run(t, move.run))


def update(
    hook: ComputeHook, move: GroupMove, versions: tuple[Version, ...], request: str
) -> Resource:
    """Set versions, and the update policy of a move."""
    return hook.patch_group(move.zone, move.member, move.body(versions), request)


def roll_on(hook: ComputeHook, move: GroupMove, request: str) -> Resource:
    """Let the group update its instances by itself again."""
    policy = {"updatePolicy": {"type": move.policy["type"]}}
    return hook.patch_group(move.zone, move.member, policy, request)


def stop(hook: ComputeHook, move: GroupMove, request: str) -> Resource | None:
    """Let the group of a move replace no further instance; None if it does not anyway.

    What gcloud calls `rolling-action stop-proactive-update`. A group that the move has not changed
    keeps its own update policy.
    """
    group = hook.group(move.zone, move.member)
    if group is None or str(group["id"]) != move.id or not has_begun(group, move):
        return None
    if policy_of(group).get("type", OPPORTUNISTIC) == OPPORTUNISTIC:
        return None
    body = {"updatePolicy": {"type": OPPORTUNISTIC}}
    return hook.patch_group(move.zone, move.member, body, request)


def recreate(
    hook: ComputeHook, move: GroupMove, instances: tuple[Managed, ...], request: str
) -> Resource | None:
    """Let the group make instances anew, of the same names and of their versions."""
    links = [f"zones/{one.zone}/instances/{one.name}" for one in instances]
    return hook.recreate_managed(move.zone, move.member, links, request)


def restore_policy(hook: ComputeHook, group: GroupPlan, request: str) -> Resource | None:
    """Give a group the update policy that it had; None if it has it."""
    now = hook.group(group.zone, group.name)
    if now is None or str(now["id"]) != group.id:
        return None
    policy = policy_of(now)
    if all(policy.get(key) == value for key, value in group.policy.items()):
        return None
    return hook.patch_group(group.zone, group.name, {"updatePolicy": group.policy}, request)


def delete_template(hook: ComputeHook, group: GroupPlan, run: str, request: str) -> Resource | None:
    """Delete the template of the image, unless the group has it; None if there is nothing to do."""
    now = hook.group(group.zone, group.name)
    if now is not None and any(v.template == group.goal for v in versions_of(now)):
        return None
    template = hook.template(group.goal)
    if template is None or not is_of_run(template, run):
        return None
    return hook.delete_template(str(template["name"]), request)


def health(hook: ComputeHook, one: Managed) -> Health | None:
    """Return the last report of an instance."""
    return members.health(hook, one.zone, one.name)
