"""After which stages of a rollout a person is asked, and what it means if nobody answers."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from bakehouse.core.models import Frozen
from bakehouse.recipe.duration import Duration


def _growing(stages: tuple[int, ...]) -> tuple[int, ...]:
    if list(stages) != sorted(set(stages)):
        raise PydanticCustomError("after", "must name each stage once, in their order: [1, 2]")
    return stages


class Approval(Frozen):
    """The stages after which somebody must approve the next one."""

    after: Annotated[tuple[Annotated[int, Field(ge=1, le=9)], ...], AfterValidator(_growing)] = (
        Field(min_length=1, description="numbers of stages, such as [1]")
    )
    timeout: Duration = Field(
        default=timedelta(hours=24), description="how long it waits for an answer, such as 24h"
    )
    on_timeout: Literal["roll_back", "halt"] = Field(
        default="roll_back", description="roll_back, or halt: all stays as it is"
    )
