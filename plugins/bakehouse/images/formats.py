"""Formats of data: which an image can read, and which the data of a member have. Pure.

A format has a name and whole numbers as versions, such as `metadata.version` of Kafka. An image
declares the versions that it can read (`/etc/bakehouse/formats.json`, by its install, in the
manifest). A member's gate says which version its data have for good, in lines `format NAME
VERSION`: no image that cannot read it works there any more. Version 0: they have nothing of it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_LINE = re.compile(r"format[ \t]+(\S{1,100})[ \t]+([0-9]{1,10})", re.ASCII)


class FormatRange(NamedTuple):
    """A format of data, and the versions that an image can read and write."""

    name: str
    min: int
    max: int


def format_of(line: str) -> tuple[str, int] | None:
    """Return name and version of a line `format NAME VERSION`; None of any other line."""
    found = _LINE.fullmatch(line.strip())
    return (found[1], int(found[2])) if found else None


def formats_in(answer: str) -> dict[str, int]:
    """Return the versions that a gate's answer names; of one that is named twice the higher."""
    return highest({found[0]: found[1]} for found in map(format_of, answer.splitlines()) if found)


def highest(said: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the highest version of each format that anybody has named."""
    found: dict[str, int] = {}
    for formats in said:
        for name, version in formats.items():
            found[name] = max(version, found.get(name, version))
    return found


def unreadable(has: Mapping[str, int], image: str, reads: Sequence[FormatRange]) -> str:
    """Return why an image cannot read data that have these formats; empty if it can.

    An image that declares nothing at all, as those of older versions, is not judged: nothing is
    known of it. One that declares formats, and not this one, cannot read it.

    Args:
        has: format and version, of the data.
        image: its name, for the sentence.
        reads: what it declares.
    """
    if not reads:
        return ""
    known = {one.name: one for one in reads}
    wrong = [
        f"{name} {version} is finalised, {image} cannot read it ({_reads(known.get(name))})"
        for name, version in sorted(has.items())
        if version and not _is_within(version, known.get(name))
    ]
    return "; ".join(wrong)


def newer(has: Mapping[str, int], reads: Sequence[FormatRange]) -> dict[str, tuple[int, int]]:
    """Return the formats of which an image has a newer version than the data: both versions."""
    return {
        one.name: (has[one.name], one.max)
        for one in reads
        if one.name in has and one.max > has[one.name]
    }


def _is_within(version: int, reads: FormatRange | None) -> bool:
    return reads is not None and reads.min <= version <= reads.max


def _reads(reads: FormatRange | None) -> str:
    if reads is None:
        return "it does not know this format"
    if reads.min == reads.max:
        return f"it reads {reads.max}"
    return f"it reads {reads.min} to {reads.max}"
