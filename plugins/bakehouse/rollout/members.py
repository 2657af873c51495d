"""What Compute Engine has of a fleet: its instances, their boot disks, the images they may run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from bakehouse.cloud.request_id import request_id
from bakehouse.core.errors import PermanentError, TransientError
from bakehouse.fleet.model import Fleet, Members
from bakehouse.images import labels
from bakehouse.images.links import Resource, resource_name, zone_of
from bakehouse.images.revocation import why_not
from bakehouse.rollout.health import Health, parse
from bakehouse.rollout.plan import BootDisk, Member, Target
from bakehouse.rollout.strategies.swap import boot_of, member_of

if TYPE_CHECKING:
    from bakehouse.cloud.compute_hook import (
        ComputeHook,  # costs a second of import, which every parse pays
    )

AT_ONCE = 100  # names in one filter, which travels in the URL
PROMOTED, HISTORY = "promoted", "history"
ROLLED_OUT = frozenset({PROMOTED, HISTORY})  # the states of images that a fleet may be given


def instances(hook: ComputeHook, members: Members) -> tuple[list[Resource], list[str]]:
    """The fleet's instances in the rollout's order, and the names that no instance has."""
    if members.labels is not None:
        wanted = " AND ".join(f"labels.{k}={v}" for k, v in members.labels.items())
        found = [i for zone in members.zones for i in hook.instances(zone, wanted)]
        return sorted(found, key=lambda i: str(i["name"])), []
    names = members.instances or ()
    by_name: dict[str, Resource] = {}
    for zone in reversed(members.zones):  # of two with one name that of the first zone counts
        by_name |= _of_names(hook, zone, names)
    there = [by_name[name] for name in names if name in by_name]
    return there, [name for name in names if name not in by_name]


def standing(hook: ComputeHook, zones: Mapping[str, str]) -> dict[str, Resource]:
    """The instances that there are of these names (name -> zone), by name."""
    found: dict[str, Resource] = {}
    for zone in sorted(set(zones.values())):
        names = [name for name, where in zones.items() if where == zone]
        found |= _of_names(hook, zone, names)
    return found


def facts(hook: ComputeHook, found: Iterable[Resource]) -> list[Member]:
    """The members, each with the boot disk it has."""
    return [member_of(instance, _boot_disk(hook, instance)) for instance in found]


def made(hook: ComputeHook, fleet: Fleet) -> dict[str, Resource]:
    """Every boot disk that rollouts of this fleet have made and that is still there, by name."""
    wanted = f"labels.{labels.FLEET}={fleet.name}"
    return {str(d["name"]): d for z in fleet.members.zones for d in hook.disks(z, wanted)}


def health(hook: ComputeHook, zone: str, name: str) -> Health | None:
    """What the member last said of itself."""
    return parse(hook.guest_attributes(zone, name).get("health"))


def choose(hook: ComputeHook, recipe: str, wanted: str) -> Target:
    """The image named, by name or id, or the newest promoted one. Raises PermanentError."""
    image = _named(hook, wanted) if wanted else _newest(hook, recipe)
    labels = image.get("labels") or {}
    name, state = image["name"], labels.get("bakehouse-state", "none")
    if labels.get("bakehouse-recipe") != recipe:
        made_by = labels.get("bakehouse-recipe", "no recipe")
        raise PermanentError(f"{name} is an image of {made_by}; this fleet runs {recipe}")
    if (refused := why_not(image)) is not None:
        raise PermanentError(refused)
    if state not in ROLLED_OUT:
        raise PermanentError(f"{name} is not promoted (its bakehouse-state is {state})")
    if image.get("status", "READY") != "READY":
        raise TransientError(f"{name} is not ready yet: {image.get('status')}")
    return target(image)


def check(hook: ComputeHook, pinned: Target) -> None:
    """Raises PermanentError when the image of a rollout may not be used any more."""
    image = hook.image(pinned.name)
    if image is None or str(image["id"]) != pinned.id:
        raise PermanentError(f"{pinned.name} (id {pinned.id}) is not there any more")
    if (refused := why_not(image)) is not None:
        raise PermanentError(refused)


def previous(hook: ComputeHook, old: BootDisk, recipe: str) -> Target | None:
    """The image that a disk was made from; None when no other disk can be made from it: it is gone
    (its name may be used again), revoked or obsolete."""
    project = _project(old.image) or hook.project
    image = hook.image(resource_name(old.image), project) or hook.image(old.image_id, project)
    if image is None or str(image["id"]) != old.image_id or why_not(image) is not None:
        return None
    return target(image, recipe)


def target(image: Resource, recipe: str = "") -> Target:
    """The image, pinned by its id."""
    labels = image.get("labels") or {}
    return Target(
        id=str(image["id"]),
        name=str(image["name"]),
        self_link=str(image["selfLink"]),
        recipe=labels.get("bakehouse-recipe", recipe),
        git_sha=labels.get("git-sha", ""),
        disk_gb=int(image.get("diskSizeGb", 1)),
    )


def delete_unused(hook: ComputeHook, zone: str, name: str, run: str) -> bool:
    """Delete a disk that nothing uses; False when it is gone, or in use."""
    disk = hook.disk(zone, name)
    if disk is None or disk.get("users"):
        return False
    hook.delete_disk(zone, name, request_id(run, "delete_disk", str(disk["id"])))
    return True


def _of_names(hook: ComputeHook, zone: str, names: Sequence[str]) -> dict[str, Resource]:
    """By one call for each hundred, not for each."""
    found: list[Resource] = []
    for start in range(0, len(names), AT_ONCE):
        any_of = "|".join(names[start : start + AT_ONCE])
        found += hook.instances(zone, f"name eq '{any_of}'")
    return {str(instance["name"]): instance for instance in found}


def _boot_disk(hook: ComputeHook, instance: Resource) -> Resource | None:
    boot = boot_of(instance)
    return hook.disk(zone_of(instance), boot["name"]) if boot else None


def _named(hook: ComputeHook, wanted: str) -> Resource:
    image = hook.image(resource_name(wanted))
    if image is None:
        raise PermanentError(f"there is no image {wanted} in {hook.project}")
    return image


def _newest(hook: ComputeHook, recipe: str) -> Resource:
    wanted = f"labels.bakehouse-recipe={recipe} AND labels.bakehouse-state={PROMOTED}"
    images = [i for i in hook.images(wanted) if not i.get("deprecated") and not why_not(i)]
    if not images:
        raise PermanentError(f"{recipe} has no promoted image yet: trigger bake__{recipe}")
    return max(images, key=lambda image: str(image["creationTimestamp"]))


def _project(image: str) -> str | None:
    parts = image.split("/")
    return parts[parts.index("projects") + 1] if "projects" in parts[:-1] else None
