"""The references to images, which must not be retired then. Pure.

Disks name their image by id; templates and recipes name it by a full or partial link, of
which project and name count.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from bakehouse.core.reasons import Reason
from bakehouse.images import labels
from bakehouse.images.links import Resource, image_of, labels_of, path_of, resource_name
from bakehouse.recipe.base import BaseImage
from bakehouse.rollout.rollout_disks import recall

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bakehouse.inventory.model import Inventory
    from bakehouse.recipe.model import Recipe

BUILT_UPON = frozenset({labels.CANDIDATE, labels.PROMOTED, labels.HISTORY})


class Reference(NamedTuple):
    """One reference to an image."""

    reason: Reason
    by: str


def references(
    inventory: Inventory, recipes: Iterable[Recipe] = ()
) -> Mapping[str, list[Reference]]:
    """Return the references by image id, without unused images."""
    ids = {str(image["name"]): str(image["id"]) for image in inventory.images}
    found: defaultdict[str, list[Reference]] = defaultdict(list)
    for image_id, reference in _by_id(inventory, ids):
        found[image_id].append(reference)
    for link, reference in _by_link(inventory, recipes):
        named = image_of(link, inventory.project)
        if named is not None and named.project == inventory.project and named.name in ids:
            found[ids[named.name]].append(reference)
    return found


def with_running_rollouts(
    known: Mapping[str, list[Reference]], images: Iterable[Resource], busy: Mapping[str, str]
) -> Mapping[str, list[Reference]]:
    """Add references to all images of recipes with a rollout in progress.

    The rollout may create a disk from any of them; retirement can wait for a day.

    Args:
        known: from `references`; it is not changed.
        images: those of the inventory.
        busy: recipe -> the owner of its fleet's lease.
    """
    found = {image_id: list(used) for image_id, used in known.items()}
    for image in images:
        who = busy.get(labels_of(image).get(labels.RECIPE, ""))
        if who:
            found.setdefault(str(image["id"]), []).append(Reference(Reason.ROLLOUT_GOING_ON, who))
    return found


def _by_id(inventory: Inventory, ids: Mapping[str, str]) -> Iterator[tuple[str, Reference]]:
    for disk in inventory.disks:
        yield from _of_disk(disk, inventory.project, ids)
    for child in inventory.images:
        told = labels_of(child)
        if told.get(labels.STATE) in BUILT_UPON and labels.BASE_IMAGE_ID in told:
            yield told[labels.BASE_IMAGE_ID], Reference(Reason.USED_BY_IMAGE, str(child["name"]))
    for image in inventory.machine_images:
        base = labels_of(image).get(labels.BASE_IMAGE_ID)
        if base:
            yield base, Reference(Reason.USED_BY_MACHINE_IMAGE, str(image["name"]))


def _of_disk(
    disk: Resource, project: str, ids: Mapping[str, str]
) -> Iterator[tuple[str, Reference]]:
    users = [resource_name(user) for user in disk.get("users") or []]
    image = str(disk.get("sourceImageId") or "") or _named(disk.get("sourceImage"), project, ids)
    if image:
        by = Reference(Reason.USED_BY_INSTANCE, ", ".join(users))
        yield image, by if users else Reference(Reason.USED_BY_DISK, str(disk["name"]))
    before = recall(disk)
    if before is not None and users:
        member = labels_of(disk).get(labels.MEMBER, ", ".join(users))
        yield before.image_id, Reference(Reason.WAY_BACK, member)


def _named(link: object, project: str, ids: Mapping[str, str]) -> str:
    """Return the image of a disk by name, if the disk has no image id."""
    named = image_of(str(link), project) if link else None
    return ids.get(named.name, "") if named and named.project == project else ""


def _by_link(inventory: Inventory, recipes: Iterable[Recipe]) -> Iterator[tuple[str, Reference]]:
    groups = _groups_of(inventory.groups)
    for template in inventory.templates:
        group = groups.get(path_of(template.get("selfLink")))
        by = Reference(Reason.USED_BY_GROUP, f"{group}, by the template {template['name']}")
        use = by if group else Reference(Reason.USED_BY_TEMPLATE, str(template["name"]))
        for link in _sources(template.get("properties")):
            yield link, use
    for image in inventory.machine_images:
        for link in _sources(image.get("instanceProperties")):
            yield link, Reference(Reason.USED_BY_MACHINE_IMAGE, str(image["name"]))
    for recipe in recipes:
        if isinstance(recipe.base, BaseImage):
            link = f"projects/{recipe.base.project}/global/images/{recipe.base.image}"
            yield link, Reference(Reason.USED_BY_RECIPE, recipe.name)


def _sources(properties: Mapping[str, Any] | None) -> Iterator[str]:
    for disk in (properties or {}).get("disks") or []:
        source = (disk.get("initializeParams") or {}).get("sourceImage")
        if source:
            yield str(source)


def _groups_of(groups: Iterable[Resource]) -> Mapping[str, str]:
    """Return the managed instance groups by template, canary templates included."""
    return {
        path_of(version["instanceTemplate"]): str(group["name"])
        for group in groups
        for version in [group, *(group.get("versions") or [])]
        if version.get("instanceTemplate")
    }
