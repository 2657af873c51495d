"""Whether the data of a fleet keep an image from being used: the goal, or what members had. Pure.

What a member's data have for good is said by its gate (`Answer.formats`); what an image can read
is in its manifest. See images/formats.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.images.formats import FormatRange, highest, newer, unreadable
from bakehouse.images.links import resource_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bakehouse.rollout.plan import Change, RolloutPlan

Reads = dict[str, tuple[FormatRange, ...]]


def with_formats(
    plan: RolloutPlan, said: Mapping[str, Mapping[str, int]], reads: Reads
) -> RolloutPlan:
    """Return the plan with what follows for its image, and for the way back of each member.

    A member that says nothing, since it is down or is to be created, is taken to have what the
    highest of the others has: the data of a fleet are one thing more often than not.

    Args:
        plan: of another image; one of other metadata stays as it is.
        said: what the data of each member have, by its own gate.
        reads: what the images can read, by name.
    """
    if plan.is_config or plan.group is not None:
        return plan
    every = highest(said.values())
    goal = plan.image.name
    stages = tuple(
        tuple(
            _judged(change, said.get(change.name) or every, goal, reads)
            if change.metadata is None
            else change
            for change in stage
        )
        for stage in plan.stages
    )
    told = {
        "stages": stages,
        "formats": every,
        "reads": reads,
        "unreadable": unreadable(every, goal, reads.get(goal, ())),
    }
    return plan.model_copy(update=told)


def image_names(plan: RolloutPlan) -> tuple[str, ...]:
    """Return the names of the images whose formats count: the goal, and what members have."""
    olds = (resource_name(change.old.image) for change in plan.changes)
    return tuple(name for name in dict.fromkeys([plan.image.name, *olds]) if name)


def refusal(plan: RolloutPlan) -> str:
    """Return why the rollout is refused: its image cannot read the data; empty if it can."""
    if not plan.unreadable:
        return ""
    return (
        f"{plan.unreadable}: its service would not start on the data of {plan.fleet}. Nothing was"
        " changed: choose an image that reads them"
    )


def _judged(change: Change, has: Mapping[str, int], goal: str, reads: Reads) -> Change:
    old = resource_name(change.old.image)
    if not old:
        return change
    closed = unreadable(has, old, reads.get(old, ()))
    closes = "" if closed else _closes(has, old, goal, reads)
    return change.model_copy(update={"closed": closed, "closes": closes})


def _closes(has: Mapping[str, int], old: str, goal: str, reads: Reads) -> str:
    """Return what would close the way back: what the goal can write and the old one not read."""
    greatest = {one.name: one.max for one in reads.get(old, ())}
    if not greatest:
        return ""
    parts = [
        f"{name} above {greatest.get(name, 0)} is finalised"
        for name, (_, version) in sorted(newer(has, reads.get(goal, ())).items())
        if version > greatest.get(name, 0)
    ]
    return f"when {' or '.join(parts)}, which {old} cannot read" if parts else ""
