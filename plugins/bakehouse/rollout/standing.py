"""How the other members of a fleet stand, read just before one is stopped."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bakehouse.rollout import health as health_of
from bakehouse.rollout import members, target_images
from bakehouse.rollout.gates import Gate, others_are_up, reports_to_read
from bakehouse.rollout.plan import ill_before

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from bakehouse.cloud.compute_hook import ComputeHook
    from bakehouse.images.links import Resource
    from bakehouse.rollout.place import Place
    from bakehouse.rollout.plan import Reported, RolloutPlan
    from bakehouse.rollout.strategies.swap import Swap


def zones_of(made: RolloutPlan) -> dict[str, str]:
    """Return the members of a plan that count for `max_unavailable`, and their zones."""
    others = {change.name: change.zone for change in made.changes}
    return others | {report.name: report.zone for report in made.reported}


def others_now(
    hook: ComputeHook, member: str, made: RolloutPlan, at_most: int, ahead: Collection[str]
) -> Gate:
    """Require that few other members are down or ill, or may be stopped at any moment (`ahead`)."""
    there = members.statuses(hook, zones_of(made))
    first, rest = reports_to_read(member, made.reported)
    ill = _ill_now(hook, first, there)
    if member not in ill and ill.keys() - ill_before(made.reported):
        ill |= _ill_now(hook, rest, there)
    # one that does not exist is down: it is yet to be created, or is being recreated
    counts = {*there, *(change.name for change in made.changes if change.strategy.inserts)}
    return others_are_up(member, counts, there, at_most, ill, ahead)


def still_its_turn(hook: ComputeHook, swap: Swap, place: Place, ahead: Collection[str]) -> Gate:
    """Require of a member that has waited in the triggerer that all is plainly well.

    Whatever is not (a member that has fallen ill, or is gone) is for its task to decide, which
    reads more. Raises what a hook raises, and PermanentError for an image that may not be used.
    """
    if swap.metadata is None:
        target_images.check(hook, swap.image)
    there = members.statuses(hook, place.others)
    ill = _ill_now(hook, place.reports, there)
    fallen = sorted(ill.keys() - ill_before(place.reports))
    if swap.member not in ill and fallen:
        return Gate(open=False, why=f"ill: {', '.join(f'{name} ({ill[name]})' for name in fallen)}")
    return others_are_up(swap.member, place.others, there, place.at_most, ill, ahead)


def _ill_now(
    hook: ComputeHook, reports: Iterable[Reported], there: Mapping[str, Resource]
) -> dict[str, str]:
    """Return why members that run are ill; one that turns ill now is sure by the second look.

    The first look was the plan's.
    """
    ill: dict[str, str] = {}
    for report in reports:
        if there.get(report.name, {}).get("status") != "RUNNING":
            continue
        health = members.health(hook, report.zone, report.name)
        now = datetime.now(UTC)
        if why := health_of.ill(health, report.stamp, report.at, now):
            ill[report.name] = why
    return ill
