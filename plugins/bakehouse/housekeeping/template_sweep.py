"""Decide which instance templates of rollouts are deleted. Pure.

A template has no labels, so its description says who made it and when it ends; one of others is
ignored. The template that a group had before its last rollout is the way back by hand, so it stays
for a week after its successor was made, however old it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.core.reasons import Reason
from bakehouse.housekeeping.sweep import Found, SweepFacts, day
from bakehouse.images.labels import EXPIRES, FLEET, RECIPE, TEMPLATE, moment_of
from bakehouse.images.links import Resource, path_of, resource_name
from bakehouse.images.selection import created_at
from bakehouse.rollout.boot_disks import UNUSED_FOR
from bakehouse.rollout.mig_templates import described

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from bakehouse.inventory.model import Inventory

INSTANCE_TEMPLATE = "instance-template"  # metadata of an instance that a group has made


def plan(inventory: Inventory, facts: SweepFacts) -> list[Found]:
    """Return the decision for each template that a rollout has made.

    Args:
        inventory: with templates, groups and instances.
        facts: of the fleets whose rollout goes on.
    """
    ours = [(t, said) for t in inventory.templates if (said := described(t)).get("run")]
    used = _used(inventory)
    return [_decided(t, said, _until(t, said, ours), used, facts) for t, said in ours]


def fleets_of(templates: Iterable[Resource]) -> set[str]:
    """Return the fleets whose rollouts have made these templates."""
    return {str(fleet) for t in templates if (fleet := described(t).get(FLEET))}


def _decided(
    template: Resource,
    said: Mapping[str, object],
    until: datetime | None,
    used: Mapping[str, tuple[Reason, str]],
    facts: SweepFacts,
) -> Found:
    fleet = str(said.get(FLEET, ""))
    use = used.get(path_of(template.get("selfLink")))
    if use is not None:
        return _found(template, said, *use)
    if fleet in facts.busy_fleets:
        return _found(template, said, Reason.ROLLOUT_GOING_ON, fleet)
    if until is None:
        return _found(template, said, Reason.UNUSED_NOT_LONG, "its description has no end")
    if facts.now < until:
        return _found(template, said, Reason.UNUSED_NOT_LONG, f"until {day(until)}")
    return _found(template, said, Reason.EXPIRED, "unused by any group", sweep=True)


def _until(
    template: Resource,
    said: Mapping[str, object],
    ours: Iterable[tuple[Resource, Mapping[str, object]]],
) -> datetime | None:
    """Return the end of a template: its own, and a week after the next one of its group."""
    own = moment_of(str(said.get(EXPIRES, "")))
    later = [
        created_at(other)
        for other, told in ours
        if (told.get(FLEET), told.get("group")) == (said.get(FLEET), said.get("group"))
        and created_at(other) > created_at(template)
    ]
    return max(own, min(later) + UNUSED_FOR) if own and later else own


def _used(inventory: Inventory) -> dict[str, tuple[Reason, str]]:
    """Return why templates are in use, by path; the reason of a group comes first."""
    used: dict[str, tuple[Reason, str]] = {}
    for instance in inventory.instances:
        for item in (instance.get("metadata") or {}).get("items") or []:
            if item and item["key"] == INSTANCE_TEMPLATE:
                link = path_of(item.get("value", ""))
                used[link] = (Reason.USED_BY_INSTANCE, str(instance["name"]))
    # metadata names the project by its number, and no two templates of it share a name
    names = {resource_name(link): use for link, use in used.items()}
    for template in inventory.templates:
        path = path_of(template.get("selfLink"))
        if (use := names.get(str(template["name"]))) is not None:
            used[path] = use
    for group in inventory.groups:
        for version in group.get("versions") or [group]:
            link = path_of(version.get("instanceTemplate", ""))
            used[link] = (Reason.USED_BY_GROUP, str(group["name"]))
    return used


def _found(
    template: Resource,
    said: Mapping[str, object],
    reason: Reason,
    detail: str,
    *,
    sweep: bool = False,
) -> Found:
    return Found(
        kind="template",
        name=str(template["name"]),
        id=str(template["id"]),
        role=TEMPLATE,
        recipe=str(said.get(RECIPE, "")),
        run=str(said["run"]),
        sweep=sweep,
        reason=reason,
        detail=detail,
    )
