"""What differs between two images besides their packages: values, vars and files. Pure."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from bakehouse.core.time import format_utc
from bakehouse.pages.answers import ValueChange

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bakehouse.history.diff import ImageDiff
    from bakehouse.pages.answers import ImageRow

MOST_LINES = 4000  # of a diff
_NO_NEWLINE = "\\ No newline at end of file"


def differing_values(old: ImageRow, new: ImageRow) -> tuple[ValueChange, ...]:
    """Return what differs between the rows of two images."""
    before, after = _values(old), _values(new)
    return changes(before, after)


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[ValueChange, ...]:
    """Return what differs between two maps, in the order of their names there."""
    return tuple(
        ValueChange(name=name, old=before.get(name), new=after.get(name))
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    )


def security_names(diff: ImageDiff, security: frozenset[tuple[str, str]]) -> tuple[str, ...]:
    """Return the upgraded packages whose new version closes a security hole.

    Args:
        diff: Of the two images.
        security: Name and version of every security update that a look at the archives has found.
    """
    return tuple(one.name for one in diff.upgraded if (one.name, one.new) in security)


def unified_diff(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> str:
    """Return the difference between the files of two folders, as `git diff` shows it."""
    lines: list[str] = []
    for path in sorted({*before, *after}):
        lines += _file_diff(path, before.get(path), after.get(path))
    more = len(lines) - MOST_LINES
    return "\n".join(lines[:MOST_LINES] + ([f"... and {more} lines more"] if more > 0 else []))


def _file_diff(path: str, before: bytes | None, after: bytes | None) -> Iterator[str]:
    if before == after:
        return
    old = "/dev/null" if before is None else f"a/{path}"
    new = "/dev/null" if after is None else f"b/{path}"
    if b"\0" in (before or b"") + (after or b""):
        yield f"Binary files {old} and {new} differ"
        return
    yield from difflib.unified_diff(_lines(before), _lines(after), old, new, lineterm="")


def _lines(data: bytes | None) -> list[str]:
    lines = (data or b"").decode("utf-8", "replace").split("\n")
    if lines[-1]:
        return [*lines[:-1], f"{lines[-1]}\n{_NO_NEWLINE}"]
    return lines[:-1]


def _values(row: ImageRow) -> dict[str, str]:
    values = {
        "commit": f"{row.git_sha[:7]} {row.subject}",
        "base image": row.base_image,
        "baked": format_utc(row.time),
        "reason": row.reason,
        "bake": f"{row.bake_seconds} s",
    }
    if row.boot_seconds is not None:
        values["boot"] = f"{row.boot_seconds:.1f} s"
    if row.size_bytes is not None:
        values["stored size"] = f"{row.size_bytes / 10**6:.0f} MB"
    if row.disk_gb is not None:
        values["disk"] = f"{row.disk_gb} GB"
    if row.packages is not None:
        values["packages"] = str(row.packages)
    return values
