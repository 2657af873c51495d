"""The ledger: one append-only record for each event, one object per record.

`<base>/events/<yyyy>/<mm>/<dd>/<time>-<kind>-<id>.json`. The id is made from run, kind and
subject, so that a task tried again writes the same object and not a second one. Readers find the
records of closed days in segments (`bakehouse.history.compaction`), all others one by one.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from operator import itemgetter
from typing import TYPE_CHECKING, TypeVar

from airflow.sdk import ObjectStoragePath

from bakehouse.core.models import Frozen
from bakehouse.history.event import BadEvent, Event
from bakehouse.history.objects import create
from bakehouse.history.segments import EVERY, Wanted
from bakehouse.history.stored_rows import StoredRows, day_of, late_copy

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from bakehouse.history.events import LedgerEvent
    from bakehouse.history.segments import Row

RECENT = 200  # events of one kind that are read at a time
LATE_DAYS = 2
"""An event of a day that began so many days ago, or before, gets a late copy: see `compaction`."""
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


def _now() -> datetime:
    return datetime.now(UTC)


class Ledger:
    """Writes and reads events below `base`, a URL that ObjectStoragePath understands.

    `file:///var/lib/ledger`, `gs://google_cloud_default@bucket/ledger`. One that is kept reads only
    what is new since it was read last.
    """

    def __init__(self, base: str, clock: Callable[[], datetime] = _now) -> None:
        self._base = ObjectStoragePath(base)
        self._stored = StoredRows(self._base)
        self._clock = clock

    def write(self, event: LedgerEvent) -> str:
        """Write the event unless it is there already; returns the object's URL."""
        target, data = self._base / event.path, event.to_json().encode()
        try:
            create(target, data)
        except FileExistsError:  # of an earlier try of this run: what was said first stands
            data = b""
        if event.time.date() <= (self._clock() - timedelta(days=LATE_DAYS)).date():
            with suppress(FileExistsError):
                create(self._base / late_copy(event.path), data or target.read_bytes())
        return str(target)

    def rows(
        self,
        *,
        kinds: Collection[type[Event]] = (),
        recipe: str | None = None,
        fleet: str | None = None,
        image: str | None = None,
        first: date = date.min,
        last: date = date.max,
    ) -> list[Row]:
        """Return the records of the events that are asked for, unparsed, in order of their paths.

        Args:
            kinds: Of the events; none: of all kinds.
            recipe: That the events are about; None: of any, and of none.
            fleet: The same.
            image: The same.
            first: The first day (of the runs, UTC).
            last: The last day.
        """
        names = frozenset(str(kind.model_fields["kind"].default) for kind in kinds)
        wanted = Wanted(names, recipe, fleet, image)
        found = self._stored.read(first, last, wanted).values()
        rows = list(found) if wanted == EVERY else [row for row in found if wanted.wants(row)]
        if first > date.min or last < date.max:
            rows = [row for row in rows if first <= day_of(row.path) <= last]
        return sorted(rows, key=itemgetter(0))  # the folders of the days sort as the names do

    def recent(
        self, kind: type[Recorded], since: datetime, until: datetime, most: int = RECENT
    ) -> list[Recorded]:
        """The newest events of one kind, the oldest of them first; no other event is parsed.

        A record that cannot be read is left out.
        """
        rows = self.rows(kinds=[kind], first=since.date(), last=until.date())
        named = f"-{kind.model_fields['kind'].default}-"
        newest = [row for row in reversed(rows) if row.kind or named in row.path][:most]
        events: list[Recorded] = []
        for row in newest:
            with suppress(BadEvent):
                event = row.event
                events += [event] if isinstance(event, kind) else []
        return sorted(events, key=lambda event: event.happened)

    def events(
        self,
        unreadable: Callable[[UnreadableRecord], None] = _warn,
        *,
        kinds: Collection[type[Event]] = (),
        recipe: str | None = None,
        fleet: str | None = None,
        image: str | None = None,
    ) -> list[LedgerEvent]:
        """Every event in the order of what happened, the oldest first.

        A record that cannot be read goes to `unreadable`. The other arguments are those of `rows`;
        an event of `image` is one about it, not one that only names it.
        """
        found: list[LedgerEvent] = []
        for row in self.rows(kinds=kinds, recipe=recipe, fleet=fleet, image=image):
            try:
                event = row.event
            except BadEvent as bad:
                path = str(self._base / row.path)
                unreadable(UnreadableRecord(path=path, problem=str(bad)))
                continue
            if row.kind or _is_wanted(event, tuple(kinds), recipe, fleet, image):
                found.append(event)
        return sorted(found, key=lambda event: event.happened)


def _is_wanted(
    event: LedgerEvent,
    kinds: tuple[type[Event], ...],
    recipe: str | None,
    fleet: str | None,
    image: str | None,
) -> bool:
    """Whether an event is asked for of which the record's row says nothing."""
    return (
        (not kinds or isinstance(event, kinds))
        and (recipe is None or event.recipe == recipe)
        and (fleet is None or getattr(event.detail, "fleet", None) == fleet)
        and (image is None or event.image == image)
    )
