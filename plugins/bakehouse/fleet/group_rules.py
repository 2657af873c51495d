"""Rules of fleets that are a managed instance group. Pure."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from bakehouse.images.links import region_of
from bakehouse.recipe.rules import Broken

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bakehouse.fleet.model import Fleet


# What a rollout tells a member, and waits for; a group has its own limit for each instance.
_OF_MEMBERS = ("drain", "resume", "busy_limit", "progress_deadline")

LIMITS = ("max_unavailable", "max_surge")
"""Fields of a fleet that Compute Engine takes of a regional group as 0, or one for each zone."""


def too_few(number: int, zones: int) -> str:
    """Return what a limit of so many instances must be of a group of several zones; empty: it is.

    Args:
        number: one of LIMITS, as a count.
        zones: how many the group has.
    """
    if zones < 2 or number == 0 or number >= zones:
        return ""
    return "of a regional group it is 0 or at least the number of its zones"


def of_group(fleet: Fleet) -> Iterator[Broken]:
    """Find what a fleet that is a group must not say, and what only such a one may say."""
    members = fleet.members
    if fleet.strategy == "mig" and members.group is None:
        problem = "is mig, but members names no managed instance group"
        remedy = "Say members: {group: NAME, zones: [ZONE]}, or strategy: swap"
        yield Broken(fleet.name, ("strategy",), problem, remedy)
    if fleet.strategy != "mig" and members.group is not None:
        problem = f"is a managed instance group, whose instances {fleet.strategy} cannot replace"
        remedy = "Say strategy: mig: the group recreates every instance that somebody else stops"
        yield Broken(fleet.name, ("members", "group"), problem, remedy)
    if members.group is not None and len(members.zones) > 1:
        yield from _of_region(fleet)
    if members.group is not None and fleet.template is not None:
        problem = "is given, but the group makes its instances from its own instance template"
        remedy = "Remove it: the rollout copies the group's template with the new image"
        yield Broken(fleet.name, ("template",), problem, remedy)
    if fleet.strategy == "mig" and fleet.gate.script == "required":
        problem = "is required, but a group stops its instances itself, and asks none of them"
        remedy = "Remove it; gate.http and gate.prometheus are asked before each step of a group"
        yield Broken(fleet.name, ("gate", "script"), problem, remedy)
    if fleet.strategy == "mig" and fleet.halt_after is not None:
        problem = "counts members that go back one by one, but a group goes back as a whole"
        remedy = "Remove it, or say on_failure: halt"
        yield Broken(fleet.name, ("halt_after",), problem, remedy)
    for field in _OF_MEMBERS if fleet.strategy == "mig" else ():
        if getattr(fleet, field) != type(fleet).model_fields[field].default:
            problem = "is given, but the group stops its instances itself, and tells them nothing"
            yield Broken(fleet.name, (field,), problem, "Remove it")
    if fleet.strategy != "mig" and fleet.max_surge != 0:
        problem = f"needs strategy: mig: {fleet.strategy} makes no further instances"
        yield Broken(fleet.name, ("max_surge",), problem, "Remove it")


def _of_region(fleet: Fleet) -> Iterator[Broken]:
    """Find what Compute Engine takes of a group of one zone, and not of a regional one."""
    zones = fleet.members.zones
    regions = sorted({region_of(zone) for zone in zones})
    if len(regions) > 1:
        problem = f"are of {' and '.join(regions)}, but a group has zones of one region"
        yield Broken(fleet.name, ("members", "zones"), problem, "Make one fleet for each group")
    for field in LIMITS:
        given = getattr(fleet, field)
        if isinstance(given, int) and (rule := too_few(given, len(zones))):
            problem = f"is {given}, but {rule}"
            yield Broken(fleet.name, (field,), problem, f"Say {len(zones)}, or a share")


def shared_groups(fleets: Sequence[Fleet]) -> Iterator[Broken]:
    """Find groups of two fleets, which two rollouts would move at the same time."""

    def key(fleet: Fleet) -> tuple[str, str]:
        return str(fleet.members.group), fleet.members.group_place

    those = sorted((f for f in fleets if f.members.group), key=lambda f: (key(f), f.name))
    for (group, place), same in groupby(those, key=key):
        first, *others = same
        for other in others:
            problem = f"is {group} in {place}, which is the fleet {first.name} already"
            remedy = f"Leave it to one of them: {first.name}.yaml or {other.name}.yaml"
            yield Broken(other.name, ("members", "group"), problem, remedy)
