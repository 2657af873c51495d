"""How the other members of a fleet stand, read just before one is stopped."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from bakehouse.rollout import health as health_of
from bakehouse.rollout import members, target_images
from bakehouse.rollout.gates import Gate, down_of, others_are_up, reports_to_read
from bakehouse.rollout.plan import ill_before

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from bakehouse.cloud.compute_hook import ComputeHook
    from bakehouse.images.links import Resource
    from bakehouse.rollout.beside import Beside
    from bakehouse.rollout.place import Place
    from bakehouse.rollout.plan import Reported
    from bakehouse.rollout.strategies.swap import Swap


class Standing(NamedTuple):
    """How the others of a member stand."""

    gate: Gate  # whether it may be stopped beside them
    down: frozenset[str]  # who of the fleet does not run


def others_now(hook: ComputeHook, member: str, beside: Beside, ahead: Collection[str]) -> Standing:
    """Require that few other members are down or ill, or may be stopped at any moment (`ahead`)."""
    there = members.statuses(hook, beside.zones)
    first, rest = reports_to_read(member, beside.reported)
    ill = _ill_now(hook, first, there)
    if member not in ill and ill.keys() - ill_before(beside.reported):
        ill |= _ill_now(hook, rest, there)
    # one that does not exist is down: it is yet to be created, or is being recreated
    counts = {*there, *beside.inserted}
    gate = others_are_up(member, counts, there, beside.at_most, ill, ahead)
    return Standing(gate, down_of(beside.zones, there))


async def still_its_turn(
    conn_id: str, swap: Swap, place: Place, ahead: Collection[str]
) -> Standing:
    """Require of a member that has waited in the triggerer that all is plainly well.

    Whatever is not (a member that has fallen ill, or is gone) is for its task to decide, which
    reads more. Nobody is down meanwhile who could be up, so all is read at the same time, each in
    a thread. Raises what a hook raises, and PermanentError for an image that may not be used.
    """
    from bakehouse.cloud.compute_hook import hook_of  # too heavy for the parse of a DAG file

    def why_ill(report: Reported) -> str:
        return _ill_by(hook_of(conn_id), report)

    there, _ = await asyncio.gather(
        asyncio.to_thread(lambda: members.statuses(hook_of(conn_id), place.others)),
        asyncio.to_thread(lambda: check_image(hook_of(conn_id), swap)),
    )
    asked = [one for one in place.reports if _runs(one, there)]
    found = await asyncio.gather(*(asyncio.to_thread(why_ill, one) for one in asked))
    ill = {one.name: why for one, why in zip(asked, found, strict=True) if why}
    down = down_of(place.others, there)
    fallen = sorted(ill.keys() - ill_before(place.reports))
    if swap.member not in ill and fallen:
        why = f"ill: {', '.join(f'{name} ({ill[name]})' for name in fallen)}"
        return Standing(Gate(open=False, why=why), down)
    gate = others_are_up(swap.member, place.others, there, place.at_most, ill, ahead)
    return Standing(gate, down)


def check_image(hook: ComputeHook, swap: Swap) -> None:
    """Raise PermanentError for an image that may not be used; other metadata need none."""
    if swap.metadata is None:
        target_images.check(hook, swap.image)


def _ill_now(
    hook: ComputeHook, reports: Iterable[Reported], there: Mapping[str, Resource]
) -> dict[str, str]:
    """Return why members that run are ill."""
    asked = ((one.name, _ill_by(hook, one)) for one in reports if _runs(one, there))
    return {name: why for name, why in asked if why}


def _runs(report: Reported, there: Mapping[str, Resource]) -> bool:
    return bool(there.get(report.name, {}).get("status") == "RUNNING")


def _ill_by(hook: ComputeHook, report: Reported) -> str:
    """Return why a member is ill; one that turns ill now is sure by the second look.

    The first look was the plan's.
    """
    health = members.health(hook, report.zone, report.name)
    return health_of.ill(health, report.stamp, report.at, datetime.now(UTC))
