"""Read what the plan of a managed instance group is made of. Nothing is changed here.

The task `plan` and `bakehouse plan` make the same plan.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bakehouse.core.errors import PermanentError
from bakehouse.core.reasons import Reason
from bakehouse.images import labels
from bakehouse.images.links import resource_name
from bakehouse.rollout import mig_facts
from bakehouse.rollout.boot_disks import UNUSED_FOR
from bakehouse.rollout.mig_survey import judge
from bakehouse.rollout.plan import RolloutPlan, Skipped, Target
from bakehouse.rollout.plan_parts import Blocker, FleetRules, ImageChange
from bakehouse.rollout.planning import hold_blockers, packages_between

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from bakehouse.cloud.compute_hook import ComputeHook
    from bakehouse.fleet.model import Fleet


def make_group_plan(
    hook: ComputeHook,
    fleet: Fleet,
    run: str,
    image: Target,
    ledger: str,
    *,
    only: Collection[str] = (),
    plan_only: bool = False,
    blockers: Sequence[Blocker] = (),
) -> tuple[RolloutPlan, tuple[str, ...]]:
    """Read the group, and plan; the arguments are those of `make_plan` -> plan and remarks.

    Raises:
        PermanentError: The group cannot be moved, or not as it is asked for.
    """
    place, name = _group_of(fleet)
    if only:
        raise PermanentError(
            f"{', '.join(only)} cannot be moved alone: the group {name} moves as a whole, in the"
            " stages of its file; leave the field members of the form empty"
        )
    facts = mig_facts.read(hook, place, name)
    expires = labels.expiry(datetime.now(UTC) + UNUSED_FOR)
    judged = judge(facts, fleet, run, image, expires)
    if judged.refusals:
        raise PermanentError(
            f"the group {name} cannot be moved to {image.name}: {'; '.join(judged.refusals)}."
            " Nothing was changed"
        )
    group = judged.plan
    if group is not None and group.unstable:
        blockers = (*blockers, Blocker(what="group", why=f"it is not stable: {group.unstable}"))
    old = resource_name(group.old_image) if group is not None else ""
    size = group.size if group is not None else 0
    change = ImageChange(name=old, members=size, **packages_between(ledger, old, image.name))
    made = RolloutPlan(
        fleet=fleet.name,
        run=run,
        image=image,
        stages=tuple(() for _ in fleet.stages),
        skipped=() if group else (Skipped(name=name, reason=Reason.ALREADY_ON_IMAGE),),
        group=group,
        rules=FleetRules(
            stages=fleet.stages,
            max_unavailable=1,  # of groups of this one: theirs is in the update policy
            on_failure=fleet.on_failure,
            halt_after=fleet.halt_after,
        ),
        images=(change,) if group is not None else (),
        blockers=(*blockers, *hold_blockers(fleet)),
        plan_only=plan_only,
    )
    return made, judged.remarks


def _group_of(fleet: Fleet) -> tuple[str, str]:
    """Return the zone or the region of the fleet's group, and its name."""
    if fleet.members.group is None:
        raise PermanentError(
            f"include/fleets/{fleet.name}.yaml names no group: say members:"
            " {group: NAME, zones: [ZONE]}, or strategy: swap"
        )
    return fleet.members.group_place, fleet.members.group
