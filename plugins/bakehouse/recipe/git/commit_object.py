"""Read a commit object as git stores it: its dates may be none that Python knows. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple

_WHO = re.compile(
    rb"(?P<who>.*?) ?(?P<seconds>-?\d{1,30})(?: (?P<zone>[-+]\d{1,9}))?\s*", re.DOTALL
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = (edge.replace(tzinfo=UTC) for edge in (datetime.min, datetime.max))
_DAY = timedelta(days=1)


class CommitObject(NamedTuple):
    """What is read of a commit; the times are those of author and committer."""

    subject: str
    author: str
    authored: datetime
    committed: datetime


def parse_commit(data: bytes) -> CommitObject:
    """Read a commit object; a time out of Python's range becomes the nearest one."""
    head, _, message = data.partition(b"\n\n")
    fields = dict(reversed([_field(line) for line in head.split(b"\n")]))
    encoding = fields.get(b"encoding", b"utf-8").decode("ascii", "replace")
    who, authored = _who_and_when(fields.get(b"author", b""))
    _, committed = _who_and_when(fields.get(b"committer", b""))
    subject = message.lstrip(b"\n").partition(b"\n\n")[0]
    return CommitObject(
        subject=" ".join(_decode(subject, encoding).split()),
        author=_decode(who, encoding),
        authored=authored,
        committed=committed,
    )


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b" ")
    return name, value


def _who_and_when(field: bytes) -> tuple[bytes, datetime]:
    found = _WHO.fullmatch(field)
    if found is None:
        return field, _EPOCH
    return found["who"], _moment(int(found["seconds"]), found["zone"] or b"+0000")


def _moment(seconds: int, zone: bytes) -> datetime:
    try:
        moment = _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return _FIRST if seconds < 0 else _LAST
    offset = timedelta(hours=int(zone[1:-2] or b"0"), minutes=int(zone[-2:]))
    if offset >= _DAY or not _FIRST + _DAY < moment < _LAST - _DAY:
        return moment  # in UTC: no clock of the earth shows the other
    return moment.astimezone(timezone(-offset if zone.startswith(b"-") else offset))


def _decode(text: bytes, encoding: str) -> str:
    """Decode as the commit says, else as UTF-8; what is neither is marked."""
    for name in (encoding, "utf-8"):
        try:
            return text.decode(name)
        except (LookupError, UnicodeError):
            continue
    return text.decode("utf-8", "replace")
