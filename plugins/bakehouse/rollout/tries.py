"""A member's tries: one walk, and a second one on a fresh disk, also by who takes over in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.rollout.second_try import TRIED_AGAIN
from bakehouse.rollout.states import State
from bakehouse.rollout.walk import InSecondTry, Walk

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bakehouse.rollout.events import SwapEnded
    from bakehouse.rollout.place import Place
    from bakehouse.rollout.strategies.swap import Swap
    from bakehouse.rollout.turns import Turn
    from bakehouse.rollout.walk_terms import Terms


class Tries:
    """Moves one member to its goal, with a second try if the first one's end may be its own.

    Args:
        swap: what the member is moved to.
        terms: of all tries.
        info: writes a line into the task's log.
        turn_of: waits until it is the member's turn. Raises NotItsTurn.
    """

    def __init__(
        self,
        swap: Swap,
        terms: Terms,
        info: Callable[..., Awaitable[None]],
        turn_of: Callable[[Place], Awaitable[Turn]],
    ) -> None:
        self.swap, self.terms, self._info, self._turn_of = swap, terms, info, turn_of
        """`swap` is that of the try that counts."""

    async def through(self) -> SwapEnded:
        """Return the end of the last try."""
        walk = self._walk(self.swap)
        try:
            ended = await walk.through()
        except InSecondTry as second:
            return await self._walk(second.swap).through()
        if ended.cause is None or ended.cause not in TRIED_AGAIN or not self.swap.second_disk:
            return ended
        await self._info(
            "%s: %s (%s); it is tried once more, on the fresh disk %s",
            self.swap.member,
            ended.cause.text,
            ended.why,
            self.swap.second_disk,
        )
        return await self._again(ended, walk.last_boot)

    async def _again(self, first: SwapEnded, boot_id: str | None) -> SwapEnded:
        """Return the end of the second try; of the first one, if no second disk can be made."""
        swap = self.swap
        walk = self._walk(swap.again(first.why, boot_id))
        second = await walk.through()
        if second.state is not None or walk.state not in {None, State.PENDING, State.PREPARING}:
            return second
        self.swap = swap
        why = f"{first.why}; there was no second try: {second.why}"
        return first.model_copy(update={"why": why})

    def _walk(self, swap: Swap) -> Walk:
        self.swap = swap
        return Walk(swap, self.terms, self._info, self._turn_of)
