"""The ledger that a test has filled, read by the models that wrote it."""

from __future__ import annotations

import urllib.parse
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from bakehouse.history.bake_events import CoversEvent
from bakehouse.history.event import Event
from bakehouse.history.events import LedgerEvent, parse_event

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

AnEvent = TypeVar("AnEvent", bound=Event)


def read_ledger(base: str | Path, run_id: str | None = None) -> list[LedgerEvent]:
    """Every event below a folder or file:// URL, oldest first; a record that is none raises."""
    folder = Path(urllib.parse.urlparse(str(base)).path) / "events"
    files = sorted(folder.rglob("*.json"), key=lambda file: file.name)
    events = [parse_event(file.read_bytes()) for file in files]
    return [event for event in events if run_id in {None, event.run_id}]


def of_kind(kind: type[AnEvent], events: Iterable[LedgerEvent]) -> list[AnEvent]:
    """Those of one kind, in their order."""
    return [event for event in events if isinstance(event, kind)]


def dates_by_image(events: Iterable[LedgerEvent]) -> dict[str, list[date]]:
    """Image -> the days (UTC) of the runs that it serves, in order."""
    found: defaultdict[str, set[date]] = defaultdict(set)
    for event in of_kind(CoversEvent, events):
        found[event.image].add(event.time.date())
    return {image: sorted(days) for image, days in found.items()}
