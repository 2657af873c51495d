"""What an image stands on, and what stands on it: read from the ledger's bakes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bakehouse.history.ledger import Event

BAKE = "bake"


def bakes_of(events: Iterable[Event]) -> dict[str, Event]:
    """Image -> the bake that has made it."""
    return {event.image: event for event in events if event.kind == BAKE and event.image}


def chain(image: str, bakes: dict[str, Event]) -> list[str]:
    """The image, what it is built on, and so on down to one that no bake has made."""
    found = [image]
    while (bake := bakes.get(found[-1])) and (base := str(bake.detail.get("base_image") or "")):
        if base in found:
            break
        found.append(base)
    return found


def descendants(image: str, bakes: dict[str, Event]) -> Iterator[str]:
    """Every image that is built on this one, or on one that is, oldest first."""
    under = {image}
    for name, bake in sorted(bakes.items(), key=lambda pair: (pair[1].time, pair[0])):
        if bake.detail.get("base_image") in under:
            under.add(name)
            yield name


def describe(image: str, bakes: dict[str, Event]) -> list[str]:
    """The same as lines for people: from the image down, then what is built on it."""
    lines = [_line(name, bakes.get(name)) for name in chain(image, bakes)]
    lines = [f"{'  ' * depth}{line}" for depth, line in enumerate(lines)]
    above = [f"  {_line(name, bakes.get(name))}" for name in descendants(image, bakes)]
    return [*lines, *(["built on it:", *above] if above else [])]


def _line(name: str, bake: Event | None) -> str:
    if bake is None:
        return f"{name} (not baked here)"
    return f"{name} (recipe {bake.recipe}, commit {(bake.git_sha or '')[:7]}, {bake.time:%Y-%m-%d})"
