"""The params of a bake's run: the answers of its trigger form. Pure."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from bakehouse.core.run_params import RunParams
from bakehouse.recipe.model import Recipe, Scalar

if TYPE_CHECKING:
    from collections.abc import Mapping

AUTOMATIC = "automatic"  # the recipe's zones, in their order
AS_THE_RECIPE: Literal["recipe"] = "recipe"
SPOT: Mapping[str, bool | None] = {AS_THE_RECIPE: None, "yes": True, "no": False}


class BakeParams(RunParams):
    """The form's answers."""

    git_ref: str = "HEAD"
    force: bool = False
    vars: dict[str, Scalar] = Field(default={})
    zone: str = AUTOMATIC
    spot: Literal["recipe", "yes", "no"] = AS_THE_RECIPE
    roll_out: bool = True
    keep_builder: bool = False
    snapshot_date: date | None = None

    def zones(self, recipe: Recipe) -> tuple[str, ...]:
        """The zones to try, in order."""
        return recipe.builder.zones if self.zone == AUTOMATIC else (self.zone,)

    def wants_spot(self, recipe: Recipe) -> bool:
        """Whether the builder is a spot VM."""
        answer = SPOT[self.spot]
        return recipe.builder.spot if answer is None else answer
