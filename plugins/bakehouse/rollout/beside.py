"""What the task of a member needs of the plan and of its stage, and no more. Pure.

The plan and the swaps of a stage are as long as the fleet, and each member's task would read both:
of a thousand members 1.4 MB each. `select_members` hands this on in their place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from bakehouse.rollout.forecast import seconds_of_a_turn
from bakehouse.rollout.plan import Reported
from bakehouse.rollout.states import Strategy
from bakehouse.rollout.stored import Stored

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bakehouse.rollout.plan import RolloutPlan
    from bakehouse.rollout.strategies.swap import Swap

BESIDE = "beside"  # the XCom of select_members


class Beside(Stored):
    """Who counts beside a member of a stage, and in which order its members come."""

    at_most: int = Field(description="max_unavailable of the plan, as a number")
    zones: dict[str, str] = Field(description="members that count, and their zones")
    reported: tuple[Reported, ...] = ()
    inserted: tuple[str, ...] = Field(
        default=(), description="who is created or recreated: down while it does not exist"
    )
    order: tuple[str, ...] = Field(description="the members of the stage, by their map index")
    new: tuple[str, ...] = Field(default=(), description="those of them that take nobody away")
    turn_seconds: float = Field(default=0.0, description="of each turn, as the plan predicts")

    @classmethod
    def of(cls, made: RolloutPlan, at_most: int, swaps: Iterable[Swap]) -> Beside:
        """Return it of a plan, its limit, and the swaps of a stage."""
        stage = list(swaps)
        others = {change.name: change.zone for change in made.changes}
        return cls(
            at_most=at_most,
            zones=others | {report.name: report.zone for report in made.reported},
            reported=made.reported,
            inserted=tuple(c.name for c in made.changes if c.strategy.inserts),
            order=tuple(swap.member for swap in stage),
            new=tuple(swap.member for swap in stage if swap.strategy is Strategy.CREATE),
            turn_seconds=seconds_of_a_turn(made),
        )

    def ahead_of(self, index: int | None) -> dict[str, int]:
        """Return who comes before this map index (None: all), and the map index of each."""
        new = set(self.new)
        return {name: number for number, name in enumerate(self.order[:index]) if name not in new}
