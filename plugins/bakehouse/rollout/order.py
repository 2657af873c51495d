"""The order of a fleet's members, and how long the turns of a stage take. Pure."""

from __future__ import annotations

import heapq
import re
from typing import TYPE_CHECKING

from bakehouse.images.links import Resource, attributes_of, labels_of, zone_of

if TYPE_CHECKING:
    from collections.abc import Iterable

NaturalKey = tuple[tuple[int, int, str], ...]

_DIGITS = re.compile(r"([0-9]+)", re.ASCII)


def key_of(instance: Resource, order_by: str | None) -> str:
    """Return the value by which a fleet's `order_by` sorts this instance; empty if it has none."""
    kind, _, key = (order_by or "").partition(".")
    if kind == "name":
        return str(instance["name"])
    if kind == "zone":
        return zone_of(instance)
    if kind == "labels":
        return labels_of(instance).get(key, "")
    return attributes_of(instance).get(key, "")


def natural(text: str) -> NaturalKey:
    """Return a sort key with numbers as numbers: web-2 comes before web-10."""
    return tuple(
        (0, int(part), "") if part.isdigit() else (1, 0, part)
        for part in _DIGITS.split(text)
        if part
    )


def time_of_turns(turns: Iterable[float], at_once: int) -> float:
    """Return how long turns take that begin in this order, so many at the same time."""
    free = [0.0] * max(1, at_once)
    for turn in turns:
        heapq.heappush(free, heapq.heappop(free) + turn)
    return max(free)
