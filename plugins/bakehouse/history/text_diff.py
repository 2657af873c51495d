"""The difference between the files of two folders, as `git diff` shows it. Pure."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NO_NEWLINE = "\\ No newline at end of file"


def text_diff(
    before: Mapping[str, bytes], after: Mapping[str, bytes], most: int | None = None
) -> str:
    """Return a diff that git can apply, files in the order of their paths; empty if all are equal.

    Args:
        before: Path -> content.
        after: The same, later.
        most: Lines to return; the last line then says how many more there are.
    """
    lines: list[str] = []
    for path in sorted({*before, *after}):
        lines += _file_diff(path, before.get(path), after.get(path))
    more = len(lines) - (len(lines) if most is None else most)
    return "\n".join(lines[:most] + ([f"... and {more} lines more"] if more > 0 else []))


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
    """Split as git does, by line feeds alone."""
    lines = (data or b"").decode("utf-8", "replace").split("\n")
    if lines[-1]:
        return [*lines[:-1], f"{lines[-1]}\n{_NO_NEWLINE}"]
    return lines[:-1]
