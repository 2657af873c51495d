"""Stages of a rollout: how many members run the new image after each stage.

`[1, 50%, 100%]` is cumulative: one member, then up to half of them, then all. The number of stages
is fixed when the DAG is parsed. The number of members in a stage depends on the size of the fleet
at the time of the rollout, and may be zero.
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
    """Parse a count of at least 1, or `1%` to `100%`. Raises PydanticCustomError."""
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


def parse_limit(value: object) -> int | str:
    """Parse `max_unavailable`: like a stage. Raises PydanticCustomError."""
    try:
        return parse_stage(value)
    except PydanticCustomError:
        problem = "is neither a count of members, at least 1, nor a share from 1% to 100%"
        raise PydanticCustomError("limit", problem) from None


Limit = Annotated[int | str, BeforeValidator(parse_limit), Stage.__metadata__[1]]


def at_most(limit: int | str, members: int) -> int:
    """Return how many of so many members may be down; a share is rounded down, but never to none.

    As a Deployment of Kubernetes counts: of 5 members 50% are 2, of 3 members 10% are 1.
    """
    return limit if isinstance(limit, int) else max(1, members * int(limit[:-1]) // 100)


def check_stages(stages: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Check that the last stage is 100%, and that counts and shares grow."""
    if not stages or stages[-1] != "100%":
        raise PydanticCustomError(
            "stages", "must end with 100%, or some members would keep the old image"
        )
    counts = [s for s in stages if isinstance(s, int)]
    shares = [int(s[:-1]) for s in stages if isinstance(s, str)]
    for numbers in (counts, shares):
        if any(b <= a for a, b in pairwise(numbers)):
            raise PydanticCustomError("stages", "must grow: each is a total, not an increment")
    if any(one == 1 and isinstance(before, str) for before, one in pairwise(stages)):
        raise PydanticCustomError(
            "stages", "must grow: a share has at least the one member that follows it"
        )
    return stages


def sizes(stages: Sequence[int | str], members: int) -> list[int]:
    """Return the number of members of each stage; their sum is `members`."""
    taken, result = 0, []
    for stage in stages:
        total = max(taken, min(members, _total(stage, members)))
        result.append(total - taken)
        taken = total
    return result


def _total(stage: int | str, members: int) -> int:
    """Return the members up to this stage; a share is rounded up, so half of three is two."""
    return stage if isinstance(stage, int) else -(-members * int(stage[:-1]) // 100)
