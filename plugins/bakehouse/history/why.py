"""Why a member runs what it runs, in five lines: from the ledger's events. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.core.models import Frozen
from bakehouse.history.ancestry import bakes_before, bakes_by_image
from bakehouse.history.holds import Hold, holds
from bakehouse.history.member_images import MemberImage, member_images
from bakehouse.history.missing_fixes import ImageFixes, missing_fixes
from bakehouse.history.rollout_events import RolloutPlannedEvent
from bakehouse.history.story import bake_sentence, since

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from bakehouse.history.bake_events import BakeEvent
    from bakehouse.history.events import LedgerEvent


class Why(Frozen):
    """What a member runs, the commit that it is from, and how it got there."""

    now: MemberImage
    git_sha: str = ""
    subject: str = ""
    baked: str = ""
    """Why the image was baked, as a sentence; empty if this ledger has no bake of it."""
    moved: str = ""
    """Why the member moved, as a sentence."""
    hold: Hold | None = None
    fixes: ImageFixes | None = None


def why(member: str, events: Iterable[LedgerEvent]) -> list[Why]:
    """Return the answer for each member of this name: two fleets may have one. Empty: unknown.

    Args:
        member: `web-1`, or `web/web-1` with its fleet.
        events: Of the ledger, oldest first.
    """
    events = list(events)
    fleet, _, name = member.rpartition("/")
    every = member_images(events)
    found = [one for one in every if one.member == name and fleet in {"", one.fleet}]
    if not found:
        return []
    bakes, held, fixes = bakes_by_image(events), holds(events), missing_fixes(events)
    before = bakes_before(bakes.values())
    asked_by = {
        (e.dag_id, e.run_id): e.detail.by for e in events if isinstance(e, RolloutPlannedEvent)
    }
    return [
        _why(
            one,
            bakes.get(one.image),
            before.get(one.image),
            asked_by.get((one.dag_id, one.run_id), ""),
            held.get(one.fleet),
            fixes.get(one.image),
        )
        for one in found
    ]


def lines(answer: Why, now: datetime) -> list[str]:
    """Return the five lines."""
    one = answer.now
    commit = f"commit {answer.git_sha[:7]}" if answer.git_sha else "no commit that is known"
    subject = f" ({answer.subject})" if answer.subject else ""
    exact = "" if one.is_since_exact else " at the latest"
    told = [
        f"{one.fleet}/{one.member} runs {one.image or 'no image'} in {one.zone}",
        f"from: {answer.baked or f'{commit}{subject}; this ledger has no bake of the image'}",
        f"since: {since(one.since, now)}{exact}; last seen {since(one.seen, now)}",
        f"why: {answer.moved}",
        f"replaced: {one.replaced or 'nothing that is known'}",
    ]
    if answer.hold is not None:
        told[3] += f"; {answer.hold}"
    return told


def _why(
    one: MemberImage,
    bake: BakeEvent | None,
    before: BakeEvent | None,
    by: str,
    hold: Hold | None,
    fixes: ImageFixes | None,
) -> Why:
    asked = f" (run {one.run_id} by {by})" if by else f" (run {one.run_id})" if one.run_id else ""
    told = one.reason.text if one.is_since_exact else one.why
    return Why(
        now=one,
        git_sha=one.git_sha or (bake.git_sha if bake is not None else ""),
        subject=bake.detail.commit.subject if bake is not None else "",
        baked=bake_sentence(bake, before) if bake is not None else "",
        moved=f"{told}{asked}",
        hold=hold,
        fixes=fixes,
    )
