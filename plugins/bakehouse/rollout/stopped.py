"""What a rollout leaves behind whose run somebody has ended: the state of each member."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bakehouse.core.errors import FAILURES, Blocked
from bakehouse.rollout import replace
from bakehouse.rollout.observation import read
from bakehouse.rollout.states import STUCK, TEXTS
from bakehouse.rollout.strategies.swap import outcome_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

    from bakehouse.cloud.compute_hook import ComputeHook
    from bakehouse.history.rollout_events import MemberOutcome
    from bakehouse.rollout.strategies.swap import Swap


def left_behind(
    hook: ComputeHook, swaps: Iterable[Swap], healthy_within: timedelta
) -> list[MemberOutcome]:
    """Return the state in which each member is, as its walk names it; STUCK if it is unknown."""
    found: list[MemberOutcome] = []
    for swap in swaps:
        try:
            observed = replace.look(hook, swap)
            state = read(observed, swap.goal(healthy_within), datetime.now(UTC))
        except (Blocked, *FAILURES) as error:
            found.append(outcome_of(swap, STUCK, f"it could not be read: {error}"))
        else:
            found.append(outcome_of(swap, state, TEXTS[state]))
    return found
