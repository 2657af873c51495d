"""Which dates an image serves: it carries every one whose content it has. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date

from bakehouse.history.ledger import Event

COVERS = "covers"


def dates_of(events: Iterable[Event]) -> Mapping[str, list[date]]:
    """Image -> the days (UTC) of the runs that it serves, in order."""
    found: defaultdict[str, set[date]] = defaultdict(set)
    for event in events:
        if event.kind == COVERS and event.image:
            found[event.image].add(event.time.date())
    return {image: sorted(days) for image, days in found.items()}
