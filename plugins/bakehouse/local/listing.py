"""What local builds and runs have on this computer, and its removal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bakehouse.core.models import Frozen
from bakehouse.core.time import format_utc
from bakehouse.images import labels
from bakehouse.images.links import labels_of, zone_of
from bakehouse.local.errors import LocalError
from bakehouse.local.runs import forget, lives

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bakehouse.local.client import Client
    from bakehouse.local.places import Places

LAYER = labels.LAYER
IMAGE_KINDS = ("images", "machineImages")


class Item(Frozen):
    """A machine, image or layer."""

    kind: str
    name: str
    recipe: str
    state: str
    commit: str = ""
    address: str = ""
    expires: str = ""
    path: str  # in the project


def listed(client: Client) -> list[Item]:
    """Machines first, then images, then layers."""
    images = [
        _image(kind, image)
        for kind in IMAGE_KINDS
        for image in client.images(kind)
        if labels.LOCAL in labels_of(image)
    ]
    machines = [_machine(instance) for instance in client.instances()]
    return [*machines, *sorted(images, key=lambda item: (item.kind == LAYER, item.name))]


def remove(
    places: Places, client: Client, items: Iterable[Item], say: Callable[[str], None]
) -> None:
    """Delete them, machines first."""
    for item in items:
        client.delete(item.path)
        if item.kind == LAYER:
            (places.layers / f"{item.name}.json").unlink(missing_ok=True)
        say(f"deleted {item.kind} {item.name}")


def forget_ended(places: Places) -> None:
    """Drop the files of runs of which nothing is left."""
    for path in places.runs.glob("*.json"):
        if not lives(places, path.stem):
            forget(places, path.stem)


def leftovers(places: Places, client: Client) -> list[Item]:
    """The machines of commands that were killed."""
    return [
        _machine(instance)
        for instance in client.instances()
        if not _is_kept(instance) and not lives(places, labels_of(instance).get(labels.RUN, ""))
    ]


def chosen(items: list[Item], names: Iterable[str]) -> list[Item]:
    """The items of these names, all of which must exist. Raises LocalError."""
    by_name = {item.name: item for item in items}
    if missing := [name for name in names if name not in by_name]:
        raise LocalError(f"there is no {', '.join(missing)}: `bakehouse ps` lists what there is")
    return [by_name[name] for name in names]


def _is_kept(instance: dict[str, Any]) -> bool:
    until = labels.expires(instance)
    return labels.KEPT in labels_of(instance) and (until is None or until > datetime.now(UTC))


def _machine(instance: dict[str, Any]) -> Item:
    zone, told = zone_of(instance), labels_of(instance)
    addresses = [
        access["natIP"]
        for interface in instance.get("networkInterfaces", [])
        for access in interface.get("accessConfigs", [])
        if access.get("natIP")
    ]
    kept = ", kept" if labels.KEPT in told else ""
    return Item(
        kind="machine",
        name=str(instance["name"]),
        recipe=told.get(labels.RECIPE, ""),
        state=f"{str(instance['status']).lower()}{kept}",
        commit=told.get(labels.GIT_SHA, "")[:7],
        address=addresses[0] if addresses else "",
        expires=_expires(instance),
        path=f"zones/{zone}/instances/{instance['name']}",
    )


def _image(kind: str, image: dict[str, Any]) -> Item:
    told = labels_of(image)
    is_layer = told.get(labels.ROLE) == LAYER
    dirty = "+" if labels.DIRTY in told else ""
    tested = told[labels.LOCAL]
    if tested == labels.WORK_TREE or told.get(labels.STATE) == labels.FAILED:
        tested = told.get(labels.STATE, "")
    return Item(
        kind=LAYER if is_layer else "image",
        name=str(image["name"]),
        recipe=told.get(labels.RECIPE, ""),
        state=f"part {told.get(labels.PART, '')}" if is_layer else tested,
        commit=f"{told.get(labels.GIT_SHA, '')[:7]}{dirty}",
        expires=_expires(image),
        path=f"global/{kind}/{image['name']}",
    )


def _expires(resource: dict[str, Any]) -> str:
    until = labels.expires(resource)
    return format_utc(until) if until else ""
