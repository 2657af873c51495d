"""Read everything that the plan of a rollout is made of. Nothing is changed here.

The task `plan` and `bakehouse plan` make the same plan.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from bakehouse.core.errors import FAILURES, PermanentError
from bakehouse.core.reasons import Reason
from bakehouse.history.diff import diff_images, summarize
from bakehouse.history.ledger import Ledger
from bakehouse.history.manifest_store import ManifestNotFound, read_manifest
from bakehouse.history.rollout_events import MemberReplacedEvent
from bakehouse.images.formats import formats_in
from bakehouse.images.links import resource_name
from bakehouse.operators.freeze import read_freeze
from bakehouse.operators.hold import hold
from bakehouse.rollout import members, target_images
from bakehouse.rollout.forecast import forecast
from bakehouse.rollout.gates import down_for_long
from bakehouse.rollout.missing import missing_members
from bakehouse.rollout.plan_parts import Blocker, ImageChange
from bakehouse.rollout.planner import plan
from bakehouse.rollout.way_back import image_names, with_formats

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from bakehouse.cloud.compute_hook import ComputeHook
    from bakehouse.fleet.model import Fleet
    from bakehouse.images.formats import FormatRange
    from bakehouse.images.links import Resource
    from bakehouse.rollout.plan import RolloutPlan, Target

PAST = timedelta(days=90)  # whose replacements say how long the next ones take


def make_plan(
    hook: ComputeHook,
    fleet: Fleet,
    run: str,
    image: Target,
    ledger: str,
    *,
    only: Collection[str] = (),
    plan_only: bool = False,
    blockers: Sequence[Blocker] = (),
    metadata: Mapping[str, str | None] | None = None,
    attested: Callable[[Resource], str | None] | None = None,
) -> RolloutPlan:
    """Read every member, and plan; `predicted` says when it ends, once its gates were asked.

    Args:
        hook: the connection; errors of its calls are its own.
        fleet: by its file.
        run: the label of the run's disks.
        image: the goal.
        ledger: the URL of what is known of images and past rollouts.
        only: the members that are to change; empty: all.
        plan_only: this run changes nothing.
        blockers: what a rollout would wait for besides.
        metadata: other values for the members' metadata, and no other image.
        attested: says why an image is not the one that was signed; None: nobody asks.

    Raises:
        PermanentError: A member does not exist.
    """
    found, missing = members.instances(hook, fleet.members)
    _check(hook, fleet, set(only), found, missing)
    there = members.fleet_members(hook, found, fleet.order_by)
    if metadata:
        facts = members.configured(hook, found, there, metadata, run)
    else:
        facts = members.declared_members(hook, fleet, run, image, found, there)
    made = plan(
        fleet.name,
        run,
        image,
        fleet.stages,
        facts,
        members.disks_of_rollouts(hook, fleet),
        reported=members.reported(hook, facts),
        max_unavailable=fleet.max_unavailable,
        on_failure=fleet.on_failure,
        halt_after=fleet.halt_after,
        only=only,
    )
    made = made.judged(_only_disks(hook, made, attested))
    down = down_for_long(made)
    seen = {
        "images": _images(made, ledger),
        "blockers": (*blockers, *hold_blockers(fleet), *([down] if down is not None else [])),
        "plan_only": plan_only,
    }
    return made.model_copy(update=seen)


def predicted(made: RolloutPlan, fleet: Fleet, ledger: str) -> RolloutPlan:
    """Return the plan with its end, by the replacements of the past; that of a group as it is."""
    if made.group is not None:
        return made
    now = datetime.now(UTC)
    past = Ledger(ledger).recent(MemberReplacedEvent, now - PAST, now)
    when = forecast(
        made, past, now, soak=fleet.soak or timedelta(0), deadline=fleet.health_deadline
    )
    return made.model_copy(update={"forecast": when})


def hold_blockers(fleet: Fleet) -> tuple[Blocker, ...]:
    """Return the freeze, or the window that is closed, for which a rollout would wait."""
    try:
        freeze = read_freeze()
    except FAILURES as unread:  # it is asked again before each stop
        return (Blocker(what="freeze", why=f"whether there is one is unknown: {unread}"),)
    held = hold(freeze, fleet.windows, datetime.now(UTC))
    if held is None:
        return ()
    what = "freeze" if held.reason is Reason.FROZEN else "window"
    return (Blocker(what=what, why=str(held)),)


def lease_blockers(ledger: str, fleet: str) -> tuple[Blocker, ...]:
    """Return the run that holds the fleet's lease, for which a rollout would wait."""
    from bakehouse.lease.store import lease_name, lease_of

    newest = lease_of(ledger, lease_name(fleet)).newest()
    if newest is None or newest.released or newest.expires < datetime.now(UTC):
        return ()
    return (Blocker(what="lease", why=f"the run {newest.owner} holds the fleet's lease"),)


def _check(
    hook: ComputeHook, fleet: Fleet, wanted: set[str], found: list[Resource], missing: list[str]
) -> None:
    """Refuse members that do not exist, before anything changes. Raises PermanentError."""
    if fleet.creates_missing:
        gone = []
    else:
        gone = [name for name in missing if not wanted or name in wanted]
    known = {str(instance["name"]) for instance in found} | set(missing)
    unknown = sorted(wanted - known)
    of_nobody = fleet.members.labels is not None and not found
    if not unknown and not gone and not of_nobody:
        return
    told: list[str] = []
    if gone or of_nobody:
        everywhere = hook.instances_everywhere("")
        told = missing_members(fleet.members, gone, everywhere)
    if unknown:
        told.append(f"not members of {fleet.name}: {', '.join(unknown)}")
    raise PermanentError(
        f"{'; '.join(told)}. Nothing was changed: correct the members in"
        f" include/fleets/{fleet.name}.yaml or in the form, or create the instances"
    )


def _only_disks(
    hook: ComputeHook, made: RolloutPlan, attested: Callable[[Resource], str | None] | None
) -> dict[str, str]:
    """Return the members whose old disk nothing can make again, and why: the only way back.

    Read before the first member is stopped, once for each image.
    """
    olds = {change.name: change.old for change in made.changes if change.old.name}
    of_image = {(old.image, old.image_id, old.made_of): old for old in olds.values()}
    why = {key: target_images.only_disk(hook, old, attested) for key, old in of_image.items()}
    every = {name: why[old.image, old.image_id, old.made_of] for name, old in olds.items()}
    return {name: reason for name, reason in every.items() if reason}


def _images(made: RolloutPlan, ledger: str) -> tuple[ImageChange, ...]:
    """Return each image that members have, with the difference of its packages to the new one."""
    counted = Counter(resource_name(change.old.image) for change in made.changes if change.old.name)
    return tuple(
        ImageChange(name=name, members=count, **packages_between(ledger, name, made.image.name))
        for name, count in counted.most_common()
    )


def with_data_of(made: RolloutPlan, ledger: str) -> RolloutPlan:
    """Return the plan with what the members' data mean for its image and for the way back.

    What images can read is pinned whatever is answered: before each stop it is asked again.

    Args:
        made: the plan, with the answers of the gates.
        ledger: the URL of the images' manifests.
    """
    gates = made.gates.answers if made.gates is not None else ()
    answers = {answer.member: answer.detail for answer in gates}
    said = {name: found for name, text in answers.items() if (found := formats_in(text))}
    return with_formats(made, said, {name: reads_of(ledger, name) for name in image_names(made)})


def reads_of(ledger: str, image: str) -> tuple[FormatRange, ...]:
    """Return the formats of data that an image can read; nothing if its manifest says nothing."""
    try:
        return read_manifest(ledger, image).files.formats
    except (ManifestNotFound, OSError):
        return ()


def packages_between(ledger: str, old: str, new: str) -> dict[str, str]:
    """Return the fields of an `ImageChange` about packages."""
    if not old:
        return {"unknown": "since nothing says what is on such a disk"}
    try:
        before, after = (read_manifest(ledger, name) for name in (old, new))
    except (ManifestNotFound, OSError) as unknown:  # a plan is no worse for it
        return {"unknown": str(unknown)}
    return {"packages": summarize(diff_images(old, before, new, after))}
