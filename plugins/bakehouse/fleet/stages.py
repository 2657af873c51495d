"""Stages of a rollout: how many members may be on the new image before the next gate.

`[1, 50%, 100%]` is cumulative, as in a progress bar: one member, then up to half of them, then all.
The number of stages is fixed when the file is parsed; how many members each gets depends on how
many there are then, and may be none.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from collections.abc import Sequence

_PERCENT = re.compile(r"([1-9][0-9]?|100)%")


def parse_stage(value: object) -> int | str:
    """A count of at least 1, or `1%` to `100%`. Raises PydanticCustomError."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if is_count or (isinstance(value, str) and _PERCENT.fullmatch(value)):
        return value  # type: ignore[return-value]
    raise PydanticCustomError("stage", "is neither a count of members (1) nor a share (50%)")


Stage = Annotated[
    int | str,
    BeforeValidator(parse_stage),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": "^([1-9][0-9]?|100)%$"},
            ]
        }
    ),
]


def check_stages(stages: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """The last one must take in everybody, and those of one kind must grow."""
    if not stages or stages[-1] != "100%":
        raise PydanticCustomError("stages", "must end with 100%, or members would be left behind")
    counts = [s for s in stages if isinstance(s, int)]
    shares = [int(s[:-1]) for s in stages if isinstance(s, str)]
    for numbers in (counts, shares):
        if any(b <= a for a, b in pairwise(numbers)):
            raise PydanticCustomError("stages", "must grow: each is the total reached, not a step")
    return stages


def sizes(stages: Sequence[int | str], members: int) -> list[int]:
    """How many of `members` each stage takes; as long as `stages`, its sum is `members`."""
    taken, result = 0, []
    for stage in stages:
        reach = max(taken, min(members, _reach(stage, members)))
        result.append(reach - taken)
        taken = reach
    return result


def _reach(stage: int | str, members: int) -> int:
    """A share is rounded up: half of three is two, and any share of one is that one."""
    return stage if isinstance(stage, int) else -(-members * int(stage[:-1]) // 100)
