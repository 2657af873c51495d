"""The ledger: one append-only record for each event, one object per record.

`<base>/events/<yyyy>/<mm>/<dd>/<time>-<kind>-<id>.json`. The id is made from run, kind and
subject, so that a task tried again writes the same object and not a second one.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from airflow.sdk import ObjectStoragePath

from bakehouse.core.models import Frozen
from bakehouse.history.event import BadEvent, Event
from bakehouse.history.events import LedgerEvent, parse_event
from bakehouse.history.objects import create

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

RECENT = 200  # events of one kind that are read at a time
Recorded = TypeVar("Recorded", bound=Event)

log = logging.getLogger(__name__)


class UnreadableRecord(Frozen):
    """An object of the ledger that is not an event which this version can read."""

    path: str
    problem: str

    def __str__(self) -> str:
        return f"{self.path} is skipped: {self.problem}"


def _warn(record: UnreadableRecord) -> None:
    log.warning("%s", record)


class Ledger:
    """Writes and reads events below `base`, a URL that ObjectStoragePath understands.

    `file:///var/lib/ledger`, `gs://google_cloud_default@bucket/ledger`.
    """

    def __init__(self, base: str) -> None:
        self._base = ObjectStoragePath(base)

    def write(self, event: LedgerEvent) -> str:
        """Write the event unless it is there already; returns the object's URL."""
        target = self._base / event.path
        with suppress(FileExistsError):  # of an earlier try of this run: what was said first stands
            create(target, event.to_json().encode())
        return str(target)

    def recent(
        self, kind: type[Recorded], since: datetime, until: datetime, most: int = RECENT
    ) -> list[Recorded]:
        """The newest events of one kind, the oldest of them first; no other object is read.

        A record that cannot be read is left out.
        """
        names: list[ObjectStoragePath] = []
        name, day = kind.model_fields["kind"].default, until
        while day.date() >= since.date() and len(names) < most:
            found = self._base.glob(f"events/{day:%Y/%m/%d}/*-{name}-*.json")
            names += sorted(found, key=lambda path: path.name, reverse=True)
            day -= timedelta(days=1)
        events: list[Recorded] = []
        for path in names[:most]:
            with suppress(BadEvent):
                event = parse_event(path.read_bytes())
                events += [event] if isinstance(event, kind) else []
        return sorted(events, key=lambda event: event.happened)

    def events(self, unreadable: Callable[[UnreadableRecord], None] = _warn) -> list[LedgerEvent]:
        """Every event in the order of what happened, the oldest first.

        A record that cannot be read goes to `unreadable`.
        """
        found: list[LedgerEvent] = []
        paths = self._base.glob("events/*/*/*/*.json")
        for path in sorted(paths, key=lambda path: path.name):
            try:
                found.append(parse_event(path.read_bytes()))
            except BadEvent as bad:
                unreadable(UnreadableRecord(path=str(path), problem=str(bad)))
        return sorted(found, key=lambda event: event.happened)
