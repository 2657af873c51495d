"""The params of a bake's run: the answers of its trigger form. Pure."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from bakehouse.recipe.model import Recipe, Scalar

if TYPE_CHECKING:
    from collections.abc import Mapping

AUTOMATIC = "automatic"  # the recipe's zones, in their order
AS_THE_RECIPE = "recipe"
SPOT: Mapping[str, bool | None] = {AS_THE_RECIPE: None, "yes": True, "no": False}


class BakeParams(BaseModel):
    """The form's answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    git_ref: str = "HEAD"
    force: bool = False
    vars: dict[str, Scalar] = {}
    zone: str = AUTOMATIC
    spot: str = AS_THE_RECIPE
    roll_out: bool = True
    keep_builder: bool = False
    snapshot_date: date | None = None

    @classmethod
    def of_run(cls, params: Mapping[str, Any]) -> BakeParams:
        """Return the answers among a run's params; a run of an older form lacks some."""
        known = {name: params[name] for name in cls.model_fields if name in params}
        return cls.model_validate({name: v for name, v in known.items() if v is not None})

    def zones(self, recipe: Recipe) -> tuple[str, ...]:
        """The zones to try, in order."""
        return recipe.builder.zones if self.zone == AUTOMATIC else (self.zone,)

    def wants_spot(self, recipe: Recipe) -> bool:
        """Whether the builder is a spot VM."""
        answer = SPOT[self.spot]
        return recipe.builder.spot if answer is None else answer
