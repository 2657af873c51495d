"""The table of a check of the set-up, as lines of text. Pure."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from bakehouse.core.check import Check, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MARKS = {State.OK: "✓", State.WRONG: "✗", State.UNKNOWN: "?"}
_INDENT = "  "


def table(checks: Sequence[Check], width: int = 0) -> list[str]:
    """Return the lines: a mark, what was looked at, what was found, and below it what mends it.

    Args:
        checks: In the order in which they are mended.
        width: Columns of the terminal; what was found is folded there, a command never. 0: no
            folding.
    """
    names = max((len(check.name) for check in checks), default=0)
    return [line for check in checks for line in _lines(check, names, width)]


def summary(checks: Sequence[Check]) -> str:
    """Return the last line, which counts what was found."""
    count = {state: sum(check.state is state for check in checks) for state in State}
    parts = [f"{count[State.WRONG]} wrong"] if count[State.WRONG] else []
    parts += [f"{count[State.UNKNOWN]} not known"] if count[State.UNKNOWN] else []
    parts += [f"{count[State.OK]} fine"]
    hint = ": run the commands from the top, then this again" if count[State.WRONG] else ""
    return f"{', '.join(parts)}{hint}"


def _lines(check: Check, names: int, width: int) -> Iterator[str]:
    begin = f"{MARKS[check.state]} {check.name.ljust(names)}{_INDENT}"
    room = max(width - len(begin), 30) if width else 10**6
    first, *more = textwrap.wrap(check.found, room, break_long_words=False) or [""]
    yield f"{begin}{first}".rstrip()
    for line in more:
        yield f"{' ' * len(begin)}{line}"
    if check.remedy:
        yield f"{' ' * len(begin)}→ {check.remedy}"
