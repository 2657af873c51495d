"""The outcomes of members in words, and whether a rollout that has failed goes back. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bakehouse.rollout.second_try import Cause
from bakehouse.rollout.states import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bakehouse.history.rollout_events import MemberOutcome

_REPLACED = re.compile(r"replace_\d+_\d+")


def in_words(outcome: MemberOutcome) -> str:
    """Return the outcome of a member as a sentence."""
    member, state = outcome.member, outcome.state
    image = outcome.image or (f"its disk {outcome.disk}" if outcome.disk else "the image")
    first = f"; the first try: {outcome.first_try}" if outcome.first_try else ""
    if state == State.REMOVED:
        return f"{member}, which this rollout had created, is deleted again"
    if outcome.way == "back":
        if state == State.REPLACED:
            return f"{member} is back on {image}"
        return f"{member} is not back on {image}: {state}, {outcome.why}"
    if state == State.REPLACED:
        return f"{member} runs {image}: {outcome.why}{first}"
    if state == State.UNHEALTHY:
        return f"{member} is not healthy on {image}: {outcome.why}{first}"
    what = Cause(outcome.cause).text if outcome.cause in set(Cause) else state
    return f"{member} was not moved to {image}: {what}, {outcome.why}{first}"


def failed_members(states: Mapping[str, str | None], task: str) -> list[int]:
    """Return the map indexes of a mapped task that failed."""
    indexes = ((name.removeprefix(f"{task}_"), state) for name, state in states.items())
    return sorted(int(index) for index, state in indexes if index.isdigit() and state == "failed")


def beyond_halt_after(
    limit: int | str | None, states: Mapping[str, str | None], members: int
) -> str:
    """Return why a rollout that has failed does not go back by itself; empty: it does.

    Args:
        limit: `halt_after` of the fleet, a count of members or a share.
        states: by task id in the group, when every task of the stages has ended.
        members: of the plan.
    """
    if limit is None:
        return ""
    moved = sum(1 for t, s in states.items() if _REPLACED.fullmatch(t) and s == "success")
    if isinstance(limit, str):
        is_beyond = moved * 100 > int(limit.removesuffix("%")) * members
    else:
        is_beyond = moved > limit
    return f"halt_after: {limit}, and {moved} of {members} members have moved" if is_beyond else ""
