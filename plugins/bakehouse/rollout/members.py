"""Read a fleet from Compute Engine: its instances, boot disks and images."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bakehouse.core.errors import FINAL, PermanentError, TransientError
from bakehouse.core.reasons import Reason
from bakehouse.images import labels
from bakehouse.images.links import (
    Resource,
    labels_of,
    project_of,
    region_of,
    resource_name,
    zone_of,
)
from bakehouse.images.names import is_git_hash, is_name_or_id
from bakehouse.images.revocation import refusal_to_use
from bakehouse.images.selection import (
    DeprecationState,
    deprecation_state,
    is_promoted,
    is_ready,
    is_rolled_back,
    newest,
    newest_promoted,
    of_commit,
)
from bakehouse.rollout.config_change import PINNED, change_of, is_pinned, with_values
from bakehouse.rollout.declared_fleet import Around, Declared, by_name, by_path
from bakehouse.rollout.health import Health, ill, parse
from bakehouse.rollout.order import natural
from bakehouse.rollout.orders import Order
from bakehouse.rollout.plan import BootDisk, Change, Member, Reported, Target
from bakehouse.rollout.states import Strategy
from bakehouse.rollout.strategies.swap import (
    boot_of,
    expiry,
    is_old,
    is_regional,
    member_of,
    other_project,
    restored_labels,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bakehouse.cloud.compute_hook import (
        ComputeHook,  # costs a second of import, which every parse pays
    )
    from bakehouse.fleet.members import Members
    from bakehouse.fleet.model import Fleet

    Attested = Callable[[Resource], str | None]
    """Says why an image is not the one that was signed, as a sentence; None if it is."""

AT_ONCE = 100  # names in one filter, which travels in the URL


def instances(hook: ComputeHook, members: Members) -> tuple[list[Resource], list[str]]:
    """Return the fleet's instances in the order of the rollout, and the names without an instance.

    By label the order is that of the names, web-2 before web-10; a list's is its own. Errors are
    those of the hook.
    """
    if members.labels is not None:
        wanted = " AND ".join(f"labels.{k}={v}" for k, v in members.labels.items())
        found = [i for zone in members.zones for i in hook.instances(zone, wanted)]
        return sorted(found, key=lambda i: natural(str(i["name"]))), []
    names = members.names or ()
    by_name: dict[str, Resource] = {}
    for zone in reversed(members.zones):  # of two with one name that of the first zone counts
        by_name |= _of_names(hook, zone, names)
    there = [by_name[name] for name in names if name in by_name]
    return there, [name for name in names if name not in by_name]


def configured(
    hook: ComputeHook,
    found: Iterable[Resource],
    facts: Iterable[Member],
    wanted: Mapping[str, str | None],
    run: str,
) -> list[Member]:
    """Return the members as those that get other metadata, and nothing else."""
    by_name = {str(instance["name"]): instance for instance in found}
    every: list[Member] = []
    for member in facts:
        instance = by_name.get(member.name)
        if instance is None:
            continue
        changed: dict[str, object] = {"strategy": Strategy.RENDER, "machine": None}
        changed["metadata"] = change_of(instance, wanted, run)
        is_asked = member.status == "RUNNING" and member.refused is None
        if is_asked and (why := _cannot_render(hook, member)) is not None:
            changed["refused"], changed["refused_why"] = Reason.CANNOT_RENDER, why
        every.append(member.model_copy(update=changed))
    return every


def in_place(hook: ComputeHook, member: Member) -> Member:
    """Return a member whose metadata alone differ as one that renders, if its image can do that.

    One that is not stopped for it keeps its instance; else it is what it was, recreated or left.
    """
    if member.metadata is None or member.strategy is Strategy.RENDER:
        return member
    if member.status != "RUNNING" or _cannot_render(hook, member) is not None:
        return member.model_copy(update={"metadata": None})
    return member.model_copy(update={"strategy": Strategy.RENDER, "machine": None, "pinned": None})


def _cannot_render(hook: ComputeHook, member: Member) -> str | None:
    """Return the image of a member that runs and cannot render its files again; None: it can."""
    said = health(hook, member.zone, member.name)
    if said is None or Order.RENDER not in said.orders:
        return said.image if said else "no health report"
    return None


def standing(hook: ComputeHook, zones: Mapping[str, str]) -> dict[str, Resource]:
    """Return those of these instances that exist, by name; `zones` is name -> zone."""
    found: dict[str, Resource] = {}
    for zone in sorted(set(zones.values())):
        names = [name for name, where in zones.items() if where == zone]
        found |= _of_names(hook, zone, names)
    return found


def boot_disk_of(instance: Resource) -> str:
    """Return the name of an instance's boot disk; empty if it has none."""
    boot = boot_of(instance)
    return str(boot["name"]) if boot is not None else ""


def statuses(hook: ComputeHook, zones: Mapping[str, str]) -> dict[str, Resource]:
    """Return name and status of those of these instances that exist; `zones` is name -> zone.

    Of many one list of the zone says it with fewer calls than their names.
    """
    found: dict[str, Resource] = {}
    for zone in sorted(set(zones.values())):
        names = {name for name, where in zones.items() if where == zone}
        if len(names) <= AT_ONCE:
            found |= _of_names(hook, zone, sorted(names))
        else:
            every = hook.instance_states(zone, "")
            found |= {str(i["name"]): i for i in every if i["name"] in names}
    return found


def fleet_members(
    hook: ComputeHook, found: Iterable[Resource], order_by: str | None = None
) -> list[Member]:
    """Return the members, each with its boot disk; one that cannot be read is refused alone."""
    return [_member(hook, instance, order_by) for instance in found]


def disks_of_rollouts(hook: ComputeHook, fleet: Fleet) -> dict[str, Resource]:
    """Return all existing disks that rollouts of this fleet have created or taken out, by name."""
    wanted = f"labels.{labels.FLEET}={fleet.name}"
    return {str(d["name"]): d for z in fleet.members.zones for d in hook.disks(z, wanted)}


def declared_members(
    hook: ComputeHook,
    fleet: Fleet,
    run: str,
    image: Target,
    found: Sequence[Resource],
    facts: list[Member],
) -> list[Member]:
    """Return the members of a fleet with a template; of one without, `facts` as they are.

    Costs one list call for each zone and each region, and a report of each member whose metadata
    alone differ.
    """
    if fleet.template is None:
        return facts
    zones = sorted({*fleet.members.zones, *(zone_of(instance) for instance in found)})
    around = Around(
        disks=by_path(disk for zone in zones for disk in hook.disks(zone, "")),
        addresses={
            region: by_name(hook.addresses(region)) for region in sorted(set(map(region_of, zones)))
        },
    )
    declared = Declared(fleet, fleet.template, run, image, around, datetime.now(UTC))
    return [in_place(hook, member) for member in declared.members(found, facts)]


def health(hook: ComputeHook, zone: str, name: str) -> Health | None:
    """Return the last health report of a member."""
    return parse(hook.guest_attributes(zone, name).get("health"))


def reported(hook: ComputeHook, found: Iterable[Member]) -> list[Reported]:
    """Return the members that count for `max_unavailable`, with their reports.

    One that does not run is down, whoever has stopped it. One that a person holds, or that no
    rollout may change, does not count.
    """
    every: list[Reported] = []
    for member in found:
        if member.refused is not None or member.strategy is Strategy.CREATE:
            continue
        if member.status != "RUNNING":
            off = f"it is {member.status}"
            every.append(
                Reported(name=member.name, zone=member.zone, at=datetime.now(UTC), ill=off)
            )
            continue
        said, now = health(hook, member.zone, member.name), datetime.now(UTC)
        every.append(
            Reported(
                name=member.name,
                zone=member.zone,
                stamp=str(said.stamp) if said is not None else "",
                at=now,
                ill=ill(said, "", now, now),
                boot_id=said.boot_id if said is not None else "",
                gate=said is not None and Order.GATE in said.orders,
            )
        )
    return every


def choose(
    hook: ComputeHook,
    recipe: str,
    wanted: str,
    *,
    by_person: bool = True,
    fleet: str = "",
    of_history: bool = True,
    attested: Attested | None = None,
) -> Target:
    """Choose the image to roll out.

    Args:
        hook: the connection; errors of its calls are its own.
        recipe: of the fleet.
        wanted: the image's name, id, link or git hash, which may be of the history or deprecated;
            empty for the recipe's newest usable one. Of several images of a commit it is the newest
            that may be used.
        by_person: somebody has named or forced it, who may well want one that has failed.
        fleet: whose rollout it is; empty: of whatever fleet.
        of_history: one of a backfill may be chosen.
        attested: says why an image is not the one that was signed; None: nobody asks.

    Raises:
        PermanentError: there is none, or the one named may not be rolled out to this fleet.
        TransientError: the one named is not ready yet.
    """
    image = _named(hook, recipe, wanted) if wanted else _newest(hook, recipe)
    name, told = image["name"], labels_of(image)
    if told.get(labels.RECIPE) != recipe:
        made_by = told.get(labels.RECIPE, "no recipe")
        raise PermanentError(f"{name} is an image of {made_by}; this fleet runs {recipe}")
    if (refused := refusal_to_use(image)) is not None:
        raise PermanentError(refused)
    if not by_person and is_rolled_back(image):
        blamer = told[labels.ROLLED_BACK]
        raise PermanentError(
            f"{name} was rolled back by the fleet {blamer} since; name it in the form to roll it"
            " out all the same"
        )
    if not by_person and (run := told.get(labels.failed_in(fleet))) is not None:
        raise PermanentError(
            f"{name} has failed in the fleet {fleet} (run {run}); change the recipe and bake, or"
            f" name it in the form of roll_out__{fleet}, or tick force there, to try it again"
        )
    if not of_history and told.get(labels.STATE) == labels.HISTORY:
        raise PermanentError(
            f"{name} is an image of a backfill, which no fleet takes by itself: name it in the form"
        )
    if not is_promoted(image, history=True):
        state = told.get(labels.STATE, "none")
        raise PermanentError(f"{name} is not promoted (its bakehouse-state is {state})")
    if not is_ready(image):
        raise TransientError(f"{name} is not ready yet: {image.get('status')}")
    if attested is not None and (refused := attested(image)) is not None:
        raise PermanentError(f"{refused}. Nothing was changed")
    return target(image)


def check(hook: ComputeHook, pinned: Target, attested: Attested | None = None) -> None:
    """Check that the image of a rollout may still be used.

    Raises:
        PermanentError: it does not exist any more, or is revoked, built on a revoked one, obsolete,
            or not the one that was signed.
    """
    image = hook.image(pinned.name)
    if image is None or str(image["id"]) != pinned.id:
        raise PermanentError(f"{pinned.name} (id {pinned.id}) does not exist any more")
    if (refused := refusal_to_use(image)) is not None:
        raise PermanentError(refused)
    if attested is not None and (refused := attested(image)) is not None:
        raise PermanentError(f"{refused}. Nothing was changed")


def mark(hook: ComputeHook, pinned: Target, told: Mapping[str, str]) -> Resource | None:
    """Add labels to an image, unless it has one of that name; None if there is nothing to do."""
    image = hook.image(pinned.name)
    if image is None or str(image["id"]) != pinned.id:
        return None
    known = labels_of(image)
    missing = {key: value for key, value in told.items() if key not in known}
    return hook.label_image(dict(image), missing) if missing else None


def unmark(hook: ComputeHook, pinned: Target, label: str) -> Resource | None:
    """Remove a label from an image; None if there is nothing to do."""
    image = hook.image(pinned.name)
    is_it = image is not None and str(image["id"]) == pinned.id
    if image is None or not is_it or label not in labels_of(image):
        return None
    return hook.label_image(dict(image), {label: None})


def deprecate(hook: ComputeHook, blamed: Target, by: str, request_id: str) -> Resource | None:
    """Deprecate an image, so that its family passes it over; None if there is nothing to do.

    `by` is the link of the image to use in its place; empty for none.
    """
    image = hook.image(blamed.name)
    if image is None or str(image["id"]) != blamed.id:
        return None
    if deprecation_state(image) != DeprecationState.ACTIVE:
        return None
    body = {"state": DeprecationState.DEPRECATED.value}
    return hook.deprecate_image(blamed.name, body | ({"replacement": by} if by else {}), request_id)


def images_of(hook: ComputeHook, recipe: str) -> list[Resource]:
    """Return all images of a recipe, of whatever state."""
    return list(hook.images(f"labels.{labels.RECIPE}={recipe}"))


def previous(
    hook: ComputeHook, old: BootDisk, recipe: str, attested: Attested | None = None
) -> Target | None:
    """Return the image of a disk; None if no disk can or may be created from it any more.

    `recipe` stands for the label that an image of another project lacks.
    """
    image = _image_of(hook, old, attested)
    return None if isinstance(image, str) else target(image, recipe)


def only_disk(hook: ComputeHook, old: BootDisk, attested: Attested | None = None) -> str:
    """Return why no disk like this one can or may be created any more; empty if one can."""
    image = _image_of(hook, old, attested)
    return image if isinstance(image, str) else ""


def _image_of(hook: ComputeHook, old: BootDisk, attested: Attested | None) -> Resource | str:
    """Return the image of a disk, or why nothing can or may be made of it any more."""
    if not (old.image and old.image_id):
        return f"it was made of {old.made_of or 'no image'}"
    name, project = resource_name(old.image), project_of(old.image) or hook.project
    try:
        image = hook.image(name, project) or hook.image(old.image_id, project)
    except FINAL as refused:
        return f"its image cannot be read: {refused}"
    if image is None or str(image["id"]) != old.image_id:  # the name may be used again
        return f"its image {name} (id {old.image_id}) does not exist any more in {project}"
    if (refusal := refusal_to_use(image)) is not None:
        return f"its image {refusal}"
    if attested is not None and (refusal := attested(image)) is not None:
        return f"its image {refusal}"
    return image if is_ready(image) else f"its image {name} is {image.get('status')}"


def target(image: Resource, recipe: str = "") -> Target:
    """Pin an image by its id; `recipe` replaces a missing label."""
    told = labels_of(image)
    return Target(
        id=str(image["id"]),
        name=str(image["name"]),
        self_link=str(image["selfLink"]),
        recipe=told.get(labels.RECIPE, recipe),
        git_sha=told.get(labels.GIT_SHA, ""),
        disk_gb=int(image.get("diskSizeGb", 1)),
    )


def delete_new(
    hook: ComputeHook, change: Change, name: str, request_id: str, *, good: bool
) -> Resource | None:
    """Delete a new disk of a member that does not use it; None if there is nothing to delete.

    Unless the rollout has ended well, the disk of a member without a boot disk stays: it records
    which disk the member had, for the next rollout.
    """
    disk = hook.disk(change.zone, name)
    if disk is None or disk.get("users"):
        return None
    instance = None if good else hook.instance(change.zone, change.name)
    if instance is not None and boot_of(instance) is None:
        return None
    return hook.delete_disk(change.zone, name, request_id)


def delete_old(
    hook: ComputeHook, change: Change, request_id: str, *, again: bool
) -> Resource | None:
    """Delete the old disk of a member that does not need it any more.

    Args:
        hook: the connection.
        change: of the member.
        request_id: of the deletion.
        again: it has been refused before. So its labels say that it is no member's any more, and
            that the sweep may take it.
    """
    disk = hook.disk(change.zone, change.old.name) if change.old.name else None
    if disk is None or disk.get("users") or not is_old(disk, change.old):
        return None
    if again and labels.MEMBER in labels_of(disk):
        free = {labels.MEMBER: None, labels.EXPIRES: expiry(datetime.now(UTC))}
        hook.label_disk(change.zone, dict(disk), free)
    return hook.delete_disk(change.zone, change.old.name, request_id)


def release_old(hook: ComputeHook, change: Change, run: str) -> Resource | None:
    """Undo the labels of an old disk that its member has back; None if there is nothing to undo."""
    disk = hook.disk(change.zone, change.old.name) if change.old.name else None
    if disk is None or not disk.get("users") or not is_old(disk, change.old):
        return None
    changes = restored_labels(disk, run, datetime.now(UTC))
    return hook.label_disk(change.zone, dict(disk), changes) if changes else None


def unpin_metadata(hook: ComputeHook, change: Change) -> Resource | None:
    """Take the values that a member would have gone back to out of its metadata."""
    instance = hook.instance(change.zone, change.name)
    if instance is None or not is_pinned(instance):
        return None
    body = with_values(instance["metadata"], {PINNED: None})
    return hook.set_metadata(change.zone, instance, body)


def _of_names(hook: ComputeHook, zone: str, names: Sequence[str]) -> dict[str, Resource]:
    """Get instances by name, a hundred with each call."""
    found: list[Resource] = []
    for start in range(0, len(names), AT_ONCE):
        any_of = "|".join(names[start : start + AT_ONCE])
        found += hook.instances(zone, f"name eq '{any_of}'")
    return {str(instance["name"]): instance for instance in found}


def _member(hook: ComputeHook, instance: Resource, order_by: str | None) -> Member:
    boot = boot_of(instance)
    if boot is None or is_regional(boot) or other_project(instance, boot):
        return member_of(instance, None, order_by)
    try:
        return member_of(instance, hook.disk(zone_of(instance), boot["name"]), order_by)
    except FINAL as unreadable:
        refused = {"refused": Reason.BOOT_DISK_NOT_REPLACEABLE, "refused_why": str(unreadable)}
        return member_of(instance, None, order_by).model_copy(update=refused)


def _named(hook: ComputeHook, recipe: str, wanted: str) -> Resource:
    name = resource_name(wanted)
    image: Resource | None = hook.image(name) if is_name_or_id(name) else None
    if image is None and is_git_hash(wanted):
        image = _of_commit(hook, recipe, wanted)
    if image is None:
        raise PermanentError(f"no image {wanted} exists in {hook.project}")
    return image


def _of_commit(hook: ComputeHook, recipe: str, sha: str) -> Resource:
    found = of_commit(images_of(hook, recipe), sha)
    usable = [
        image
        for image in found
        if is_promoted(image, history=True) and is_ready(image) and not refusal_to_use(image)
    ]
    image = newest(usable) or newest(found)  # of those of no use the newest says why
    if image is None:
        raise PermanentError(
            f"no image of {recipe} is of the commit {sha}, nor has any image this name or id in"
            f" {hook.project}"
        )
    return image


def _newest(hook: ComputeHook, recipe: str) -> Resource:
    wanted = f"labels.{labels.RECIPE}={recipe} AND labels.{labels.STATE}={labels.PROMOTED}"
    image = newest_promoted(hook.images(wanted), recipe)
    if image is None:
        raise PermanentError(f"{recipe} has no promoted image yet: trigger bake__{recipe}")
    return image
