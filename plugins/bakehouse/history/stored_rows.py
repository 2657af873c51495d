"""Reads the ledger's records: from segments, from the objects of open days, and from late copies.

A segment closes the days up to the one in its name: their objects are not listed. What is written
for a closed day has a copy below `late/`, until a compaction has put it into a segment. The order
matters: late copies are listed before segments, so that a copy that a compaction removes between
the two is in a segment that is seen. Several segments of a month are read as one.
"""

from __future__ import annotations

import calendar
import logging
import re
from datetime import date
from typing import TYPE_CHECKING, Any

from bakehouse.history.segments import (
    EVERY,
    BadSegment,
    Row,
    Segment,
    SegmentName,
    Wanted,
    parse_name,
    row_of,
    unpack_named,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from airflow.sdk import ObjectStoragePath

EVENTS, LATE, SEGMENTS = "events", "late", "segments"  # folders below the ledger's base
TRIES = 5  # of a reading in which a compaction removes what was listed
_RECORD = re.compile(r"(\d{4})/(\d{2})/(\d{2})/(?!\.)[^/\t\n]+\.json")

log = logging.getLogger(__name__)


class StoredRows:
    """The records below `base`. What was read once is kept, so that a second reading is quick."""

    def __init__(self, base: ObjectStoragePath) -> None:
        self._base = base
        self._segments: dict[str, Segment] = {}  # by path below the base
        self._loose: dict[str, Row] = {}  # by path below the base

    def read(
        self, first: date = date.min, last: date = date.max, wanted: Wanted = EVERY
    ) -> dict[str, Row]:
        """Return the records of these days and perhaps others, by path below the base.

        The days are those of the records' paths; what is not wanted is left out of segments, and
        of nothing else. Errors are those of the store.
        """
        for _ in range(TRIES - 1):
            try:
                return self._read(first, last, wanted)
            except FileNotFoundError:  # a compaction has merged what was listed
                continue
        return self._read(first, last, wanted)

    def _read(self, first: date, last: date, wanted: Wanted) -> dict[str, Row]:
        self._base.fs.invalidate_cache()
        late = [path for path in self.find(LATE) if first <= day_of(path) <= last]
        rows: dict[str, Row] = {}
        closed: dict[str, date] = {}
        known: dict[str, Segment] = {}
        for segment, found in self.segments(first, last):
            known[segment.path] = found
            closed[segment.month] = max(segment.through, closed.get(segment.month, date.min))
            merge(rows, found.rows(wanted))
        self._segments = {**self._segments, **known}
        paths = {original(path): path for path in late}
        paths |= {path: path for path in self._open(closed, first, last)}
        loose = self._load({k: v for k, v in paths.items() if k not in rows and wanted.may_want(k)})
        self._loose = loose if wanted == EVERY else {**self._loose, **loose}
        return {**rows, **loose}

    def segments(
        self, first: date = date.min, last: date = date.max
    ) -> Iterator[tuple[SegmentName, Segment]]:
        """Yield the segments of these days' months; one that is damaged is told and passed over."""
        named = [name for path in self.listed_segments() if (name := parse_name(path)) is not None]
        for name in named:
            if not f"{first:%Y-%m}" <= name.month <= f"{last:%Y-%m}":
                continue
            try:
                yield name, self._segment(name)
            except BadSegment as bad:
                place = self._base / SEGMENTS / name.path
                log.warning("the segment %s is passed over, its days are listed: %s", place, bad)

    def listed_segments(self) -> list[str]:
        """Return the paths of all segments, below their folder."""
        return [path.removeprefix(f"{SEGMENTS}/") for path in self.find(SEGMENTS)]

    def _segment(self, name: SegmentName) -> Segment:
        known = self._segments.get(name.path)
        if known is not None:
            return known
        return unpack_named(name, (self._base / SEGMENTS / name.path).read_bytes())

    def load(self, paths: Iterable[str]) -> dict[str, bytes]:
        """Return the objects of these paths below the base.

        Raises:
            FileNotFoundError: One of them is gone.
        """
        below = {f"{self._root}/{path}": path for path in paths}
        if not below:
            return {}
        found: dict[str, Any] = self._base.fs.cat(list(below), on_error="return")
        for data in found.values():
            if isinstance(data, Exception):
                raise data
        return {below[path]: data for path, data in found.items()}

    def _load(self, wanted: dict[str, str]) -> dict[str, Row]:
        """Record -> object in which its text is."""
        known = {p: self._loose[p] for p in wanted if p in self._loose and self._loose[p].kind}
        new = self.load(place for path, place in wanted.items() if path not in known)
        read = {original(place): row_of(original(place), data) for place, data in new.items()}
        return known | read

    def _open(self, closed: dict[str, date], first: date, last: date) -> Iterator[str]:
        """Yield the objects of days that no segment closes."""
        for year in self._folders(EVENTS, r"\d{4}"):
            for month in self._folders(f"{EVENTS}/{year}", r"\d{2}"):
                named, folder = f"{year}-{month}", f"{EVENTS}/{year}/{month}"
                if not f"{first:%Y-%m}" <= named <= f"{last:%Y-%m}":
                    continue
                through = closed.get(named)
                if through is None:
                    yield from self.find(folder)
                elif through < last_day(named):
                    for day in self._folders(folder, r"\d{2}"):
                        if int(day) > through.day:
                            yield from self.find(f"{folder}/{day}")

    def find(self, folder: str) -> list[str]:
        """Return the paths of all objects below a folder, below the base, in order."""
        is_wanted: Callable[[str], object] = _RECORD.search
        if folder == SEGMENTS:
            is_wanted = re.compile(r"/[^/.][^/]*\.gz$").search
        try:
            found = self._base.fs.find(f"{self._root}/{folder}", detail=False)
        except FileNotFoundError:
            return []
        below = (str(path)[len(self._root) + 1 :] for path in found)
        return sorted(path for path in below if is_wanted(path))

    def _folders(self, folder: str, name: str) -> list[str]:
        try:
            found = self._base.fs.ls(f"{self._root}/{folder}", detail=False)
        except FileNotFoundError:
            return []
        names = (str(path).rstrip("/").rpartition("/")[2] for path in found)
        return sorted(one for one in names if re.fullmatch(name, one, re.ASCII))

    @property
    def _root(self) -> str:
        return str(self._base.path).rstrip("/")


def merge(rows: dict[str, Row], more: Iterable[Row]) -> None:
    """Add rows; one that could be read goes before one that could not."""
    for row in more:
        if row.kind or row.path not in rows:
            rows[row.path] = row


def original(path: str) -> str:
    """Return the path of the record whose late copy this is; that of a record as it is."""
    return f"{EVENTS}/{path.removeprefix(f'{LATE}/')}" if path.startswith(f"{LATE}/") else path


def late_copy(path: str) -> str:
    """Return where the late copy of a record is."""
    return f"{LATE}/{path.removeprefix(f'{EVENTS}/')}"


def day_of(path: str) -> date:
    """Return the day of a record, or of a late copy, by its path."""
    found = _RECORD.search(path)
    if found is None:
        raise ValueError(f"{path} is not the path of a record")
    return date(*map(int, found.groups()))


def last_day(month: str) -> date:
    """Return the last day of a month such as 2026-11."""
    year, number = map(int, month.split("-"))
    return date(year, number, calendar.monthrange(year, number)[1])
