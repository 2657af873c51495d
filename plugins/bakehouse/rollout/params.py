"""The params of a rollout's run: the answers of its trigger form. Pure."""

from __future__ import annotations

from pydantic import Field

from bakehouse.core.run_params import RunParams
from bakehouse.fleet.members import MemberMetadataKey
from bakehouse.recipe.model import MetadataValue, ResourceName


class FinaliseParams(RunParams):
    """The form of `finalise__<fleet>`."""

    why: str = ""


class RolloutParams(RunParams):
    """The form of `roll_out__<fleet>`."""

    image: str = ""  # checked where it is looked for: a run that follows an image names none
    members: tuple[ResourceName, ...] = ()
    force: bool = False  # also the newest image if it has failed in this fleet
    reconcile: bool = False
    plan_only: bool = False
    why: str = ""  # of a roll-back by hand, or of a release
    release: bool = False  # the fleet's hold, and nothing else
    metadata: dict[MemberMetadataKey, MetadataValue | None] = Field(
        default={}, description="other values, and no other image; null takes a key away"
    )
