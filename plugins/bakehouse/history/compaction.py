"""Compaction: puts the records of closed days into segments, one for each month.

The records stay where they are. Nothing is removed but what the new segment holds, once it was
read back: older segments of the month, and late copies. So a kill at any moment loses nothing, and
two compactions at once leave two segments, of which the next one makes one. It needs neither rename
nor append. See docs/ledger.md.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk import ObjectStoragePath
from pydantic import Field

from bakehouse.core.models import Frozen
from bakehouse.history.objects import create, remove
from bakehouse.history.segments import (
    BadSegment,
    Row,
    SegmentName,
    name_of,
    pack,
    row_of,
    unpack_named,
)
from bakehouse.history.stored_rows import (
    EVENTS,
    LATE,
    SEGMENTS,
    StoredRows,
    day_of,
    last_day,
    merge,
    original,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime

OPEN_DAYS = 3
"""A day is closed when so many days have begun since: a day later than writers call it late."""


class Compacted(Frozen):
    """What a compaction has done."""

    records: dict[str, int] = Field(
        default={}, description="of each month whose segment is new: how many records it has"
    )
    added: int = Field(default=0, description="records that no segment had before")
    removed: int = Field(default=0, description="older segments, and late copies")


class NotReadBack(OSError):
    """A segment that was written is not what was written; nothing was removed."""


def compact(ledger: str, now: datetime) -> Compacted:
    """Put every record of a closed day into the segment of its month. Idempotent.

    Args:
        ledger: The ledger's URL.
        now: Decides which days are closed.
    """
    base = ObjectStoragePath(ledger)
    base.fs.invalidate_cache()
    stored, horizon = StoredRows(base), (now - timedelta(days=OPEN_DAYS)).date()
    late = stored.find(LATE)
    records = [path for path in stored.find(EVENTS) if day_of(path) <= horizon]
    records += [late for late in late if day_of(late) <= horizon]
    segments: dict[str, dict[SegmentName, list[Row]]] = {}
    for name, segment in stored.segments():
        segments.setdefault(name.month, {})[name] = list(segment.rows())
    done = Compacted()
    for month in sorted({f"{day_of(path):%Y-%m}" for path in records} | segments.keys()):
        mine = [path for path in records if f"{day_of(path):%Y-%m}" == month]
        through = min(horizon, last_day(month))
        made = _Month(base, stored, month, through).compact(mine, segments.get(month, {}))
        done = Compacted(
            records={**done.records, **made.records},
            added=done.added + made.added,
            removed=done.removed + made.removed,
        )
    return done


class _Month:
    """The segment of one month."""

    def __init__(
        self, base: ObjectStoragePath, stored: StoredRows, month: str, through: date
    ) -> None:
        self._base, self._stored = base, stored
        self._month, self._through = month, through

    def compact(self, paths: list[str], segments: dict[SegmentName, list[Row]]) -> Compacted:
        rows: dict[str, Row] = {}
        for found in segments.values():
            merge(rows, found)
        through = max([self._through, *(name.through for name in segments)])
        read = {path for path, row in rows.items() if row.kind}
        # records first: a late copy is read only where its record is gone
        wanted = {original(path): path for path in reversed(paths) if original(path) not in read}
        before = len(rows)
        data = self._stored.load(wanted.values())
        merge(rows, (row_of(original(place), text) for place, text in data.items()))
        if not rows:
            return Compacted()
        packed = pack(rows.values(), through)
        name = name_of(self._month, through, packed)
        if name not in segments:
            self._write(name, packed)
        removed = self._remove(name, segments, paths, rows)
        records = {} if name in segments else {self._month: len(rows)}
        return Compacted(records=records, added=len(rows) - before, removed=removed)

    def _write(self, name: SegmentName, packed: bytes) -> None:
        """Write the segment and read it back. Raises NotReadBack."""
        target = self._base / SEGMENTS / name.path
        with suppress(FileExistsError):  # of a compaction that was killed, or goes on
            create(target, packed)
        if _is(name, target.read_bytes(), packed):
            return
        remove(target)  # its name says that it is this one, so it is damaged
        create(target, packed)
        if not _is(name, target.read_bytes(), packed):
            raise NotReadBack(f"{target} is not what was written into it; compact again")

    def _remove(
        self,
        name: SegmentName,
        segments: dict[SegmentName, list[Row]],
        paths: Iterable[str],
        rows: dict[str, Row],
    ) -> int:
        """Remove what the new segment holds."""
        copies = [path for path in paths if path.startswith(f"{LATE}/") and original(path) in rows]
        merged = [f"{SEGMENTS}/{old.path}" for old in segments if old != name]
        for path in (*merged, *copies):
            remove(self._base / path)
        return len(merged) + len(copies)


def _is(name: SegmentName, data: bytes, packed: bytes) -> bool:
    """Whether these are the bytes that were written, and a segment."""
    try:
        unpack_named(name, data)
    except BadSegment:
        return False
    return data == packed
