"""The form of a segment: many records of the ledger in one object, with an index of them. Pure.

A segment is two gzip members, so that who looks for records need not unpack all of them. The first
is the index, the second the records, one a line:

    bakehouse-ledger-segment 2 TAB last day that it closes TAB number of records
    paths, kinds, microseconds, recipes, fleets, images, git hashes: a line each, with TABs between

A record is the text of the object, byte for byte. One that is not an event which this version can
read has no kind, and its bytes as a JSON string of Latin-1. The name of a segment has the hash of
its bytes.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from itertools import count, repeat
from typing import TYPE_CHECKING, NamedTuple

from bakehouse.history.event import BadEvent
from bakehouse.history.events import parse_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from bakehouse.history.events import LedgerEvent

HEAD = "bakehouse-ledger-segment 2"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
FIELDS = 7  # of the index
_GZIP = 16 + zlib.MAX_WBITS
_NAMED = re.compile(r"Z-([a-z_]+)-[0-9a-f]{20}\.json$")
_HAS_BREAK = re.compile(r"[\t\n]")


class BadSegment(ValueError):
    """The bytes are not a segment; the message says why."""


class Records:
    """The texts of records, which are unpacked when somebody asks for one; and their events."""

    def __init__(self, texts: Callable[[], list[str]]) -> None:
        self._unpack, self._texts = texts, list[str]()
        self._events: dict[int, LedgerEvent] = {}

    def text(self, number: int) -> str:
        """The text of a record."""
        if not self._texts:
            self._texts = self._unpack()
        return self._texts[number]

    def remember(self, number: int, event: LedgerEvent) -> None:
        """Keep the event of a record, for whoever asks for it."""
        self._events[number] = event

    def event(self, number: int, data: Callable[[], bytes]) -> LedgerEvent:
        """The event of a record, parsed once. Raises BadEvent."""
        if number not in self._events:
            self._events[number] = parse_event(data())
        return self._events[number]


class Row(NamedTuple):
    """A record: what it is about, and its text, which is parsed when somebody asks for it."""

    path: str  # below the ledger's base
    kind: str  # empty: not an event that the writer of the segment could read
    happened: int  # microseconds since 1970, UTC
    recipe: str
    fleet: str
    image: str
    git_sha: str
    records: Records
    number: int  # of the record among them

    @property
    def text(self) -> str:
        """The text as a segment has it."""
        return self.records.text(self.number)

    @property
    def event(self) -> LedgerEvent:
        """The event. Raises BadEvent."""
        return self.records.event(self.number, lambda: self.data)

    @property
    def data(self) -> bytes:
        """The bytes of the object."""
        return self.text.encode() if self.kind else str(json.loads(self.text)).encode("latin-1")


class Wanted(NamedTuple):
    """Which records are asked for; of what is None, or empty, all."""

    kinds: frozenset[str] = frozenset()
    recipe: str | None = None
    fleet: str | None = None
    image: str | None = None

    def wants(self, row: Row) -> bool:
        """Whether a record is asked for; one of no kind always is: who asks has to look at it."""
        return not row.kind or (
            (not self.kinds or row.kind in self.kinds)
            and (self.recipe is None or row.recipe == self.recipe)
            and (self.fleet is None or row.fleet == self.fleet)
            and (self.image is None or row.image == self.image)
        )

    def may_want(self, path: str) -> bool:
        """Whether a record may be asked for, by its name, which has its kind."""
        named = _NAMED.search(path)
        return not self.kinds or named is None or named[1] in self.kinds


EVERY = Wanted()


class Segment:
    """The records of a segment."""

    def __init__(self, columns: list[list[str]], records: Records) -> None:
        self._columns, self._records = columns, records

    def rows(self, wanted: Wanted = EVERY) -> Iterator[Row]:
        """Yield the rows in the order of their paths."""
        if wanted == EVERY:
            path, kind, happened, *named = self._columns
            every = zip(path, kind, map(int, happened), *named, repeat(self._records), count())
            yield from map(Row._make, every)
            return
        for number in self._numbers(wanted):
            row = self._row(number)
            if wanted.wants(row):
                yield row

    def _numbers(self, wanted: Wanted) -> Iterable[int]:
        """Return the records of these kinds, by one pass over one column."""
        kinds = self._columns[1]
        if not wanted.kinds:
            return range(len(kinds))
        known = wanted.kinds | {""}
        return [number for number, kind in enumerate(kinds) if kind in known]

    def _row(self, number: int) -> Row:
        path, kind, happened, recipe, fleet, image, sha = (one[number] for one in self._columns)
        of = (recipe, fleet, image, sha)
        return Row(path, kind, int(happened), *of, self._records, number)


def row_of(path: str, data: bytes) -> Row:
    """Return the row of an object, from its path below the base and its bytes."""
    try:
        event = parse_event(data)
        text = data.decode().removesuffix("\n")
    except (BadEvent, UnicodeDecodeError):
        return _unreadable(path, data)
    if "\n" in text or "\t" in text:
        text = event.to_json().removesuffix("\n")  # somebody has formatted the object
    fleet = str(getattr(event.detail, "fleet", "") or "")
    named = (event.recipe or "", fleet, event.image or "", event.git_sha or "")
    if _HAS_BREAK.search("".join(named)):
        return _unreadable(path, data)  # it is an event, and only cannot be looked up by its names
    records = Records(lambda: [text])
    row = Row(path, event.kind, (event.happened - _EPOCH) // _MICROSECOND, *named, records, 0)
    records.remember(0, event)
    return row


def _unreadable(path: str, data: bytes) -> Row:
    text = json.dumps(data.decode("latin-1"))
    return Row(path, "", 0, "", "", "", "", Records(lambda: [text]), 0)


def pack(rows: Iterable[Row], through: date) -> bytes:
    """Return a segment of these rows, the same for the same ones.

    Args:
        rows: Of one month.
        through: The last day whose objects a reader need not list; a day of that month.
    """
    found = sorted(rows, key=lambda row: row.path)
    columns = ("\t".join(str(row[field]) for row in found) for field in range(FIELDS))
    index = "\n".join([f"{HEAD}\t{through.isoformat()}\t{len(found)}", *columns])
    texts = "\n".join(row.text for row in found)
    return b"".join(gzip.compress(one.encode(), compresslevel=6, mtime=0) for one in (index, texts))


def unpack(data: bytes) -> Segment:
    """Return a segment; the records are not looked at. Raises BadSegment for anything else."""
    index = zlib.decompressobj(wbits=_GZIP)
    try:
        head, *lines = index.decompress(data).decode().split("\n")
        name, _, number = head.split("\t")
    except (zlib.error, ValueError) as broken:
        raise BadSegment(f"it cannot be read: {broken}") from broken
    if name != HEAD:
        raise BadSegment(f"it begins with {name!r}; this version of Bakehouse reads {HEAD!r}")
    columns = [line.split("\t") for line in lines]
    if [len(column) for column in columns] != [int(number)] * FIELDS or not index.eof:
        raise BadSegment(f"its index is not one of {number} records")
    packed = index.unused_data
    return Segment(columns, Records(lambda: gzip.decompress(packed).decode().split("\n")))


class SegmentName(NamedTuple):
    """What the name of a segment says: `<month>/<through>-<hash>.gz`."""

    month: str  # 2026-11
    through: date
    name: str

    @property
    def path(self) -> str:
        """Below the folder of the segments."""
        return f"{self.month}/{self.name}"


def name_of(month: str, through: date, data: bytes) -> SegmentName:
    """Return the name of a segment, which follows from its content."""
    name = f"{through:%Y%m%d}-{sha256(data).hexdigest()[:20]}.gz"
    return SegmentName(month, through, name)


def unpack_named(name: SegmentName, data: bytes) -> Segment:
    """Return the segment of this name. Raises BadSegment if its content is not what was named."""
    if name_of(name.month, name.through, data) != name:
        raise BadSegment("its content is not what its name says")
    return unpack(data)


def parse_name(path: str) -> SegmentName | None:
    """Return what the path of a segment below their folder says; None for other objects."""
    month, _, name = path.rpartition("/")
    try:
        through = datetime.strptime(name[:9], "%Y%m%d-").replace(tzinfo=UTC).date()
    except ValueError:
        return None
    return SegmentName(month, through, name) if f"{through:%Y-%m}" == month else None
