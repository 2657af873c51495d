"""Read a managed instance group, its templates and their images from Compute Engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.core.errors import FINAL, PermanentError
from bakehouse.images.links import image_of, path_of, resource_name
from bakehouse.rollout import members
from bakehouse.rollout.mig_plan import versions_of, zones_of
from bakehouse.rollout.mig_progress import managed
from bakehouse.rollout.mig_survey import (
    GroupFacts,
    enables_guest_attributes,
    holds,
    is_by_family,
    source_image,
)
from bakehouse.rollout.mig_templates import described
from bakehouse.rollout.missing import near

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bakehouse.cloud.compute_hook import ComputeHook
    from bakehouse.images.links import Resource
    from bakehouse.rollout.mig_plan import GroupPlan
    from bakehouse.rollout.mig_progress import Managed

ASKED = 3  # instances whose report says whether their image reports at all


def read(hook: ComputeHook, place: str, name: str) -> GroupFacts:
    """Read everything that the plan of a group needs.

    Raises:
        PermanentError: there is no such group.
    """
    group = hook.group(place, name)
    if group is None:
        raise PermanentError(_no_group(hook, place, name))
    instances = tuple(managed(shown) for shown in hook.managed_instances(place, name))
    paths = {version.template for version in versions_of(group)}
    paths |= {one.template for one in instances if one.template}
    templates: dict[str, Resource | None] = {p: hook.template(p) for p in sorted(paths)}
    templates |= _as_before(hook, templates.values())
    links = {source_image(template) for template in templates.values() if template is not None}
    images = {link: _image(hook, link) for link in links if link and not is_by_family(link)}
    there = members.standing(hook, {one.name: one.zone for one in instances if one.status})
    by_family = any(is_by_family(link) for link in links)
    return GroupFacts(
        group=group,
        instances=instances,
        templates=templates,
        images=images,
        boot_images=_boot_images(hook, there.values()) if by_family else {},
        labels=holds(there.values()),
        configs=hook.instance_configs(place, name),
        reports=_reports(hook, instances),
        project_speaks=enables_guest_attributes(hook.project_metadata()),
    )


def _as_before(
    hook: ComputeHook, templates: Iterable[Resource | None]
) -> dict[str, Resource | None]:
    """Return the templates that ours have replaced: a run that plans again goes back to them."""
    paths = {
        path_of(version["instanceTemplate"])
        for template in templates
        for version in described(template or {}).get("versions") or []
    }
    return {path: hook.template(path) for path in sorted(paths)}


def _image(hook: ComputeHook, link: str) -> Resource | None:
    """Return the image that a template names; None if it is gone, or may not be read."""
    named = image_of(link, hook.project)
    if named is None:
        return None
    try:
        return hook.image(named.name, named.project)
    except FINAL:
        return None


def image_gone(hook: ComputeHook, group: GroupPlan) -> str:
    """Return why no instance of the image of before can be made any more; empty if one can."""
    if not group.old_image_id:
        return ""
    image = _image(hook, group.old_image)
    if image is not None and str(image["id"]) == group.old_image_id:
        return ""
    return f"its image {resource_name(group.old_image)} does not exist any more"


def _boot_images(hook: ComputeHook, instances: Iterable[Resource]) -> dict[str, tuple[str, str]]:
    boots = {m.name: m.boot for m in members.fleet_members(hook, instances) if m.boot}
    return {n: (boot.image_id, boot.image) for n, boot in boots.items() if boot.image_id}


def _reports(hook: ComputeHook, instances: Iterable[Managed]) -> frozenset[str]:
    running = [one for one in instances if one.status == "RUNNING"][:ASKED]
    said = (members.health(hook, one.zone, one.name) for one in running)
    return frozenset(report.image for report in said if report is not None)


def _no_group(hook: ComputeHook, place: str, name: str) -> str:
    text = f"no managed instance group {name} exists in {place}"
    there = {str(g["name"]): g for g in hook.groups()}
    if name in there:
        group = there[name]
        where = resource_name(group.get("zone") or group.get("region") or "")
        zones = ", ".join(zones_of(group))
        return f"{text}, but one in {where}: say zones: [{zones}]"
    meant = near(name, sorted(there))
    return f"{text}{f'; did you mean {meant[0]}?' if meant else ''}"
