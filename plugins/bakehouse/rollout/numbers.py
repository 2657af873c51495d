"""The numbers that a member's own check reports, such as `number p99_ms 12.5`. Pure.

The script `health` of a recipe prints such lines; they travel in the report's `detail`. A report
may also have them as the object `numbers`.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NAME = r"^[a-z][a-z0-9_]{0,39}$"
MOST = 20  # of a report
_NAME = re.compile(NAME)
_LINE = re.compile(
    r"^number +([a-z][a-z0-9_]{0,39}) +(-?[0-9]{1,15}(?:\.[0-9]{1,15})?) *$", re.MULTILINE
)


def numbers_of(said: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a report, the last of each name; what is no number is left out."""
    return dict(list(_found(said))[:MOST])


def _found(said: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    own, detail = said.get("numbers"), said.get("detail")
    for name, value in own.items() if isinstance(own, dict) else ():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if _NAME.match(str(name)) and is_number and math.isfinite(value):
            yield str(name), float(value)
    if isinstance(detail, str):
        yield from ((name, float(value)) for name, value in _LINE.findall(detail))
