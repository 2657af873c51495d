"""Decide whether a rollout that went back blames its image. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.core.models import Frozen
from bakehouse.core.reasons import Reason
from bakehouse.history.rollout_events import BlamedMember
from bakehouse.images.selection import is_newest_ever, is_usable, newest
from bakehouse.rollout.second_try import OF_THE_IMAGE
from bakehouse.rollout.states import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bakehouse.history.rollout_events import MemberOutcome
    from bakehouse.images.links import Resource
    from bakehouse.rollout.plan import RolloutPlan


class Blame(Frozen):
    """An image that leaves its family, and why."""

    members: tuple[BlamedMember, ...]
    newest: str | None  # the recipe's newest usable image without it
    newest_link: str = ""


def is_images(outcome: MemberOutcome) -> bool:
    """Whether a member's replacement failed for a reason of the image.

    Outcomes that older versions have stored name no cause: then the state says it.
    """
    is_ill = outcome.way == "forward" and outcome.state == State.UNHEALTHY
    return is_ill and outcome.cause in {"", *OF_THE_IMAGE}


def blame(
    made: RolloutPlan, outcomes: Iterable[MemberOutcome], images: Sequence[Resource]
) -> Blame | None:
    """Return the blame of the plan's image; None if it is not to blame.

    A member that failed for its own reason (its host, zone or disk) says nothing of the image; a
    silent one only after a second try on a fresh disk (`second_try`). Nor is an image blamed that
    this rollout did not bring: an older one, to which somebody went back, and one that members of
    the fleet ran before.

    Args:
        made: the plan.
        outcomes: of its members.
        images: those of its recipe.
    """
    members = tuple(
        BlamedMember(member=outcome.member, why=outcome.why)
        for outcome in outcomes
        if is_images(outcome)
    )
    ran_before = any(skipped.reason is Reason.ALREADY_ON_IMAGE for skipped in made.skipped)
    if not members or ran_before or not is_newest_ever(made.image.id, images):
        return None
    others = (i for i in images if str(i["id"]) != made.image.id and is_usable(i))
    latest = newest(others)
    return Blame(
        members=members,
        newest=str(latest["name"]) if latest else None,
        newest_link=str(latest["selfLink"]) if latest else "",
    )
