"""Which instances are to become a fleet, as somebody has asked. Pure."""

from __future__ import annotations

from pydantic import Field

from bakehouse.core.models import Frozen
from bakehouse.fleet.members import LabelKey, LabelValue, Members
from bakehouse.recipe.model import RecipeName, ResourceName, ZoneName


class AdoptionRequest(Frozen):
    """The names of the fleet and of its recipe, and its instances: by name, or by labels."""

    fleet: RecipeName
    recipe: RecipeName
    zones: tuple[ZoneName, ...] = Field(min_length=1)
    instances: tuple[ResourceName, ...] = ()
    labels: dict[LabelKey, LabelValue] = Field(default={})

    def members(self) -> Members:
        """Return the members of a fleet of these. Raises ValidationError for a name twice."""
        chosen = {"instances": self.instances} if self.instances else {"labels": self.labels}
        return Members.model_validate({"zones": self.zones, **chosen})
