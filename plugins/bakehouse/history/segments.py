"""The form of a segment: many records of the ledger in one object, with an index of them. Pure.

A segment is gzip of lines. The first names the format and the days that the segment closes; each
other one is a record:

    path TAB kind TAB microseconds TAB recipe TAB fleet TAB image TAB git hash TAB record

The record is the text of the object, byte for byte. One that is not an event which this version can
read has no kind, and its bytes as a JSON string of Latin-1.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from bakehouse.history.event import BadEvent
from bakehouse.history.events import parse_event

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bakehouse.history.events import LedgerEvent

HEAD = "bakehouse-ledger-segment 1"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIELDS = 8
_HAS_BREAK = re.compile(r"[\t\n]")


class BadSegment(ValueError):
    """The bytes are not a segment; the message says why."""


class Row:
    """A record: what it is about, and its text, which is parsed when somebody asks for it."""

    __slots__ = (
        "_event",
        "fleet",
        "git_sha",
        "happened",
        "image",
        "kind",
        "path",
        "recipe",
        "text",
    )

    def __init__(
        self,
        path: str,
        kind: str,
        happened: int,
        recipe: str,
        fleet: str,
        image: str,
        git_sha: str,
        text: str,
    ) -> None:
        self.path = path  # below the ledger's base
        self.kind = kind  # empty: not an event that the writer of the segment could read
        self.happened = happened  # microseconds since 1970, UTC
        self.recipe = recipe
        self.fleet = fleet
        self.image = image
        self.git_sha = git_sha
        self.text = text
        self._event: LedgerEvent | None = None

    @property
    def event(self) -> LedgerEvent:
        """The event. Raises BadEvent."""
        if self._event is None:
            self._event = parse_event(self.data)
        return self._event

    def remember(self, event: LedgerEvent) -> None:
        """Keep the event of the text, for whoever asks for it."""
        self._event = event

    @property
    def data(self) -> bytes:
        """The bytes of the object."""
        return self.text.encode() if self.kind else str(json.loads(self.text)).encode("latin-1")

    @property
    def line(self) -> str:
        """The line of a segment."""
        named = (self.path, self.kind, str(self.happened), self.recipe, self.fleet, self.image)
        return "\t".join((*named, self.git_sha, self.text))


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
    row = Row(path, event.kind, (event.happened - _EPOCH) // _MICROSECOND, *named, text)
    row.remember(event)
    return row


def _unreadable(path: str, data: bytes) -> Row:
    return Row(path, "", 0, "", "", "", "", json.dumps(data.decode("latin-1")))


def pack(rows: Iterable[Row], through: date) -> bytes:
    """Return a segment of these rows, the same for the same ones.

    Args:
        rows: Of one month.
        through: The last day whose objects a reader need not list; a day of that month.
    """
    lines = [row.line for row in sorted(rows, key=lambda row: row.path)]
    head = f"{HEAD}\t{through.isoformat()}\t{len(lines)}"
    return gzip.compress("\n".join([head, *lines]).encode(), compresslevel=6, mtime=0)


def unpack(data: bytes) -> list[Row]:
    """Return the rows of a segment. Raises BadSegment for anything else, also if it is cut."""
    try:
        head, *lines = gzip.decompress(data).decode().split("\n")
        name, _, count = head.split("\t")
        rows = [_row(line) for line in lines]
    except (OSError, EOFError, zlib.error, ValueError) as broken:
        raise BadSegment(f"it cannot be read: {broken}") from broken
    if name != HEAD:
        raise BadSegment(f"it begins with {name!r}; this version of Bakehouse reads {HEAD!r}")
    if int(count) != len(rows):
        raise BadSegment(f"it has {len(rows)} of {count} records")
    return rows


def _row(line: str) -> Row:
    path, kind, happened, recipe, fleet, image, git_sha, text = line.split("\t", _FIELDS - 1)
    return Row(path, kind, int(happened), recipe, fleet, image, git_sha, text)


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


def parse_name(path: str) -> SegmentName | None:
    """Return what the path of a segment below their folder says; None for other objects."""
    month, _, name = path.rpartition("/")
    try:
        through = datetime.strptime(name[:9], "%Y%m%d-").replace(tzinfo=UTC).date()
    except ValueError:
        return None
    return SegmentName(month, through, name) if f"{through:%Y-%m}" == month else None
