"""What an image is built on, and what is built on it: read from the ledger's bakes. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.history.bake_events import BakeEvent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bakehouse.history.events import LedgerEvent


def bakes_by_image(events: Iterable[LedgerEvent]) -> dict[str, BakeEvent]:
    """Image -> the bake that made it."""
    return {event.image: event for event in events if isinstance(event, BakeEvent)}


def bakes_before(bakes: Iterable[BakeEvent]) -> dict[str, BakeEvent]:
    """Return image -> its recipe's bake before."""
    last: dict[str, BakeEvent] = {}
    found: dict[str, BakeEvent] = {}
    for bake in sorted(bakes, key=lambda bake: bake.happened):
        if bake.recipe in last:
            found[bake.image] = last[bake.recipe]
        last[bake.recipe] = bake
    return found


def base_images(image: str, bakes: dict[str, BakeEvent]) -> list[str]:
    """The image, the one that it is built on, and so on down to one that no bake made."""
    found = [image]
    while (bake := bakes.get(found[-1])) and (base := bake.detail.base_image):
        if base in found:
            break
        found.append(base)
    return found


def descendants(image: str, bakes: dict[str, BakeEvent]) -> Iterator[str]:
    """Every image that is built on this one, or on one that is, oldest first."""
    under = {image}
    for name, bake in sorted(bakes.items(), key=lambda pair: (pair[1].time, pair[0])):
        if bake.detail.base_image in under:
            under.add(name)
            yield name


def describe(image: str, bakes: dict[str, BakeEvent]) -> list[str]:
    """The same as lines for people: from the image down, then what is built on it."""
    lines = [_line(name, bakes.get(name)) for name in base_images(image, bakes)]
    lines = [f"{'  ' * depth}{line}" for depth, line in enumerate(lines)]
    above = [f"  {_line(name, bakes.get(name))}" for name in descendants(image, bakes)]
    return [*lines, *(["built on it:", *above] if above else [])]


def _line(name: str, bake: BakeEvent | None) -> str:
    if bake is None:
        return f"{name} (no bake of it in this ledger)"
    return f"{name} (recipe {bake.recipe}, commit {bake.git_sha[:7]}, {bake.time:%Y-%m-%d} UTC)"
