"""The history as sentences: each bake, rebake, deploy and roll-back with its reason. Pure.

The one home of these sentences: the command line, the API and the page show the same.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import AwareDatetime

from bakehouse.core.models import Frozen
from bakehouse.core.reasons import Reason
from bakehouse.core.time import format_utc, in_short
from bakehouse.history import bake_events as baking
from bakehouse.history import fleet_events as fleets
from bakehouse.history import housekeeping_events as keeping
from bakehouse.history import rollout_events as rolling
from bakehouse.history.overview import ROLLED_BACK, rollout_key, rollouts
from bakehouse.images.names import image_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from bakehouse.history.events import LedgerEvent
    from bakehouse.history.overview import RolloutRow

_HASH = re.compile(r"[0-9a-f]{4,40}")
_REBAKES = frozenset(
    {
        Reason.SECURITY_UPDATES,
        Reason.PACKAGE_UPDATES,
        Reason.UPDATES_UNKNOWN,
        Reason.IMAGE_TOO_OLD,
        Reason.ALWAYS,
    }
)


class What(StrEnum):
    """The kind of an entry."""

    BAKE = "bake"
    REBAKE = "rebake"  # of content that has an image already: its packages or its base moved on
    BAKE_FAILED = "bake failed"
    PROMOTION = "promotion"
    DEPLOY = "deploy"
    ROLL_BACK = "roll-back"
    METADATA = "metadata"
    HOLD = "hold"
    RELEASE = "release"
    RETIRED = "retired"
    REVOKED = "revoked"
    SLA_MISS = "SLA miss"


class Entry(Frozen):
    """Something that happened to an image or a fleet."""

    time: AwareDatetime
    what: What
    sentence: str
    recipe: str | None = None
    fleet: str | None = None
    image: str | None = None
    git_sha: str | None = None
    dag_id: str
    run_id: str


def story(events: Iterable[LedgerEvent]) -> list[Entry]:
    """Return what happened, the newest first.

    Args:
        events: Of the ledger, oldest first.
    """
    events = list(events)
    entries = [*_of_images(events), *_of_rollouts(events)]
    return sorted(entries, key=lambda entry: (entry.time, entry.what, entry.image or ""))[::-1]


def about(entries: Iterable[Entry], wanted: str) -> list[Entry]:
    """Return the entries about a recipe, a fleet, an image or a commit, whichever has this name.

    A commit is also named by the first 4 characters of its hash or more, an image by the first
    characters of its name where nothing else has the name.
    """
    entries = list(entries)
    named = [e for e in entries if wanted in {e.recipe, e.fleet, e.image}]
    if named:
        return named
    if _HASH.fullmatch(wanted.lower()):
        found = [e for e in entries if (e.git_sha or "").startswith(wanted.lower())]
        if found:
            return found
    return [e for e in entries if (e.image or "").startswith(wanted)]


def names(entries: Iterable[Entry]) -> set[str]:
    """Return every name that `about` knows, for a hint."""
    return {name for e in entries for name in (e.recipe, e.fleet, e.image) if name}


# -- images ---------------------------------------------------------------------------------------


def _of_images(events: list[LedgerEvent]) -> Iterator[Entry]:
    before: dict[str, baking.BakeEvent] = {}  # by recipe
    for event in events:
        if isinstance(event, baking.BakeEvent):
            yield _bake(event, before.get(event.recipe))
            before[event.recipe] = event
        elif (found := _of_image(event)) is not None:
            what, sentence = found
            yield _entry(event, what, sentence)


def bake_kind(event: baking.BakeEvent, before: baking.BakeEvent | None) -> What:
    """Return BAKE or REBAKE; `before` is the recipe's bake before this one."""
    if event.reason in _REBAKES:
        return What.REBAKE
    same_commit = before is not None and before.git_sha == event.git_sha
    return What.REBAKE if same_commit else What.BAKE


def bake_sentence(event: baking.BakeEvent, before: baking.BakeEvent | None) -> str:
    """Return why the image was baked; `before` is the recipe's bake before this one."""
    commit = f"commit {event.git_sha[:7]} ({event.detail.commit.subject})"
    again = bake_kind(event, before) is What.REBAKE
    sentence = f"baked {'again ' if again else ''}from {commit}: {event.reason.text}"
    if event.detail.updates and event.reason in _REBAKES:
        sentence += f": {event.detail.updates}"
    base, had = event.detail.base_image, before.detail.base_image if before is not None else None
    if again and had and had != base:
        sentence += f"; its base is {base} instead of {had}"
    return sentence


def _bake(event: baking.BakeEvent, before: baking.BakeEvent | None) -> Entry:
    return _entry(event, bake_kind(event, before), bake_sentence(event, before))


def _of_image(event: LedgerEvent) -> tuple[What, str] | None:
    match event:
        case baking.BuilderFailedEvent():
            return What.BAKE_FAILED, f"not baked: {event.reason.text}: {event.detail.message}"
        case baking.VerdictEvent() if event.reason is not Reason.SMOKE_PASSED:
            return What.BAKE_FAILED, f"not promoted: {event.reason.text}: {event.detail.message}"
        case baking.PromotionEvent():
            return What.PROMOTION, _promotion(event)
        case baking.SlaMissEvent():
            sla = in_short(event.detail.sla_seconds)
            late = f"{event.detail.task_id} had not succeeded after {sla}"
            return What.SLA_MISS, f"{late}; it was {event.detail.state}"
        case keeping.ImageDeprecatedEvent() | keeping.ImageObsoleteEvent():
            return What.RETIRED, f"{event.kind.removeprefix('image_')}: {event.reason.text}"
        case keeping.ImageDeletedEvent():
            return What.RETIRED, f"deleted: {event.reason.text}"
        case keeping.RevokedEvent():
            return What.REVOKED, f"revoked: {event.detail.why}"
        case keeping.MarkedEvent():
            return What.REVOKED, f"built on {event.detail.revoked}, which is revoked"
        case rolling.ImageRolledBackEvent():
            who = "; ".join(f"{one.member}: {one.why}" for one in event.detail.members)
            return (
                What.RETIRED,
                f"deprecated: the fleet {event.detail.fleet} went back from it: {who}",
            )
        case fleets.ImageHeldEvent():
            return What.HOLD, _held(event)
        case fleets.HoldReleasedEvent():
            by, why = event.detail.by or "a person", event.detail.why
            return What.RELEASE, f"{by} released the hold of {event.detail.fleet}" + _because(why)
        case _:
            return None


def _promotion(event: baking.PromotionEvent) -> str:
    detail = event.detail
    if detail.family is None:
        return f"promoted without a family: {event.reason.text}"
    after = f" after {detail.previous}" if detail.previous else ""
    changes = f": {detail.changes}" if detail.changes else ""
    return f"promoted in the family {detail.family}{after}{changes}"


def _held(event: fleets.ImageHeldEvent) -> str:
    detail = event.detail
    by = detail.by or "a person"
    return (
        f"held back from the fleet {detail.fleet}: {by} rolled it back to {detail.instead}"
        + _because(detail.why)
    )


# -- rollouts -------------------------------------------------------------------------------------


def _of_rollouts(events: list[LedgerEvent]) -> Iterator[Entry]:
    plans = {rollout_key(e): e for e in events if isinstance(e, rolling.RolloutPlannedEvent)}
    ends = {rollout_key(e): e for e in events if isinstance(e, rolling.RolloutEndedEvent)}
    for row in rollouts(events):
        plan = plans[row.key]
        if plan.detail.plan_only or not row.members:
            continue
        yield _entry(plan, rollout_kind(plan), rollout_sentence(plan, row))
        end = ends.get(row.key)
        if end is not None and row.state == ROLLED_BACK:
            yield _entry(end, What.ROLL_BACK, _went_back(end, plan))


def rollout_kind(plan: rolling.RolloutPlannedEvent) -> What:
    """Return DEPLOY, ROLL_BACK (to an older image than most members ran) or METADATA."""
    if plan.reason is Reason.NEW_METADATA:
        return What.METADATA
    goal = image_time(plan.image or "")
    had = [image_time(one.old_image) for one in plan.detail.members if one.old_image]
    known = [moment for moment in had if moment is not None]
    newer = [moment for moment in known if goal is not None and moment > goal]
    return What.ROLL_BACK if newer and 2 * len(newer) >= len(known) else What.DEPLOY


def rollout_sentence(plan: rolling.RolloutPlannedEvent, row: RolloutRow) -> str:
    """Return what moves to which image, by whom and why, and what became of it."""
    detail = plan.detail
    from_ = ", ".join(sorted({one.old_image for one in detail.members} - {"", plan.image}))
    instead = f" instead of {from_}" if from_ else ""
    by = f" by {detail.by}" if detail.by else ""
    moves = {
        What.METADATA: f"{detail.fleet} gets other metadata{by}",
        What.ROLL_BACK: f"{detail.fleet} goes back to {plan.image}{instead}{by}",
    }.get(rollout_kind(plan), f"{detail.fleet} moves to {plan.image}{instead}{by}")
    why = "a person has chosen an older image" if _is_by_hand(plan) else plan.reason.text
    count = f"{row.moved} of {row.members} members"
    return f"{moves}: {why}; {row.state}, {count}{_because(_failure(row))}"


def _is_by_hand(plan: rolling.RolloutPlannedEvent) -> bool:
    """Whether a person has chosen an older image; the hold that follows has the person's words."""
    is_chosen = bool(plan.detail.by) and plan.reason is Reason.NEW_IMAGE
    return is_chosen and rollout_kind(plan) is What.ROLL_BACK


def _failure(row: RolloutRow) -> str:
    return row.why if row.why != Reason.NEW_IMAGE.text else ""


def _went_back(end: rolling.RolloutEndedEvent, plan: rolling.RolloutPlannedEvent) -> str:
    failed = [
        f"{one.member}: {one.why}"
        for one in end.detail.outcomes
        if one.way == "forward" and one.cause
    ]
    to = ", ".join(sorted({one.old_image for one in plan.detail.members if one.old_image}))
    why = "; ".join(dict.fromkeys(failed)) or end.reason.text
    return (
        f"{end.detail.fleet} went back by itself to {to or 'what it had'} from {plan.image}: {why}"
    )


def _because(why: str) -> str:
    return f": {why}" if why else ""


def _entry(event: LedgerEvent, what: What, sentence: str) -> Entry:
    return Entry(
        time=event.happened,
        what=what,
        sentence=sentence,
        recipe=event.recipe,
        fleet=getattr(event.detail, "fleet", None),
        image=event.image,
        git_sha=event.git_sha,
        dag_id=event.dag_id,
        run_id=event.run_id,
    )


def since(moment: datetime, now: datetime) -> str:
    """Return `2026-11-27 03:04:05 UTC, 2 h ago`."""
    return f"{format_utc(moment)}, {in_short((now - moment).total_seconds())} ago"
