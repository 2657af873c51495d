"""One row for each image and each rollout, read from the ledger's events. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pydantic import AwareDatetime

from bakehouse.core.models import Frozen
from bakehouse.core.reasons import Reason
from bakehouse.core.time import format_utc
from bakehouse.history.bake_events import BakeEvent, PromotionEvent, VerdictEvent
from bakehouse.history.housekeeping_events import (
    ImageDeletedEvent,
    ImageDeprecatedEvent,
    ImageObsoleteEvent,
    MarkedEvent,
    RevokedEvent,
)
from bakehouse.history.rollout_events import (
    MemberReplacedEvent,
    RolloutCutShortEvent,
    RolloutEndedEvent,
    RolloutPlannedEvent,
)
from bakehouse.history.wait_events import WaitedEvent, WaitsEvent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bakehouse.history.events import LedgerEvent

CANDIDATE = "candidate"
RUNNING, IDLE, PLANNED = "under way", "nothing to do", "planned only"
ROLLED_OUT, ROLLED_BACK, FAILED = "rolled out", "rolled back", "failed"
WAITS, STOPPED, CUT_SHORT = "waits", "stopped", "cut short"
IN_FLIGHT = frozenset({RUNNING, WAITS})
_GOOD = frozenset({"replaced", "removed"})  # states of a member that has reached its goal

_STATE_AFTER: Mapping[type, str] = {
    ImageDeprecatedEvent: "deprecated",
    ImageObsoleteEvent: "obsolete",
    ImageDeletedEvent: "deleted",
    RevokedEvent: "revoked",
    MarkedEvent: "built on a revoked image",
}


_OF_ROLLOUTS = (RolloutPlannedEvent, RolloutEndedEvent, RolloutCutShortEvent, MemberReplacedEvent)


class ImageRow(Frozen):
    """An image, and what became of it last; `family` is None for images of the history."""

    image: str
    recipe: str
    state: str
    time: AwareDatetime
    git_sha: str
    family: str | None = None
    packages: int | None = None
    why: str = ""


class RolloutKey(NamedTuple):
    """A rollout: at the end of a bake, a run may have one for each of several fleets."""

    dag_id: str
    run_id: str
    fleet: str


class RolloutRow(Frozen):
    """A rollout of a fleet; `moved` counts the members that reached the image."""

    fleet: str
    image: str | None
    state: str
    time: AwareDatetime
    members: int
    moved: int = 0
    why: str = ""
    dag_id: str
    run_id: str

    @property
    def key(self) -> RolloutKey:
        """Which rollout it is."""
        return RolloutKey(self.dag_id, self.run_id, self.fleet)


def images(events: Iterable[LedgerEvent], recipe: str | None = None) -> list[ImageRow]:
    """Return the images that bakes have made, the newest first.

    Args:
        events: Of the ledger, oldest first.
        recipe: Only its images; None: of all recipes.
    """
    rows: dict[str, ImageRow] = {}
    for event in events:
        if isinstance(event, BakeEvent):
            rows[event.image] = ImageRow(
                image=event.image,
                recipe=event.recipe,
                state=CANDIDATE,
                time=event.happened,
                git_sha=event.git_sha,
                packages=event.detail.packages,
                why=event.reason.text,
            )
        elif event.image in rows:
            rows[event.image] = _after(rows[event.image], event)
    found = [row for row in rows.values() if recipe is None or row.recipe == recipe]
    return sorted(found, key=lambda row: (row.time, row.image), reverse=True)


def _after(row: ImageRow, event: LedgerEvent) -> ImageRow:
    if isinstance(event, PromotionEvent):
        return row.model_copy(update={"state": event.reason.value, "family": event.detail.family})
    if isinstance(event, VerdictEvent) and row.state == CANDIDATE:
        changes = {"state": event.reason.value, "why": event.detail.message}
        return row.model_copy(update=changes)
    if (state := _STATE_AFTER.get(type(event))) is not None:
        return row.model_copy(update={"state": state, "why": event.reason.text})
    return row


def rollouts(events: Iterable[LedgerEvent], fleet: str | None = None) -> list[RolloutRow]:
    """Return the rollouts, the newest first; `fleet`: only its own."""
    rows: dict[RolloutKey, RolloutRow] = {}
    moved: dict[RolloutKey, set[str]] = {}
    for event in events:
        key = rollout_key(event)
        if key is None:
            continue
        if isinstance(event, RolloutPlannedEvent):
            members = sum(len(stage) for stage in event.detail.stages)
            rows[key] = RolloutRow(
                fleet=event.detail.fleet,
                image=event.image,
                state=PLANNED if event.detail.plan_only else RUNNING if members else IDLE,
                time=event.happened,
                members=members,
                dag_id=event.dag_id,
                run_id=event.run_id,
            )
        elif isinstance(event, WaitsEvent) and key in rows:
            since = format_utc(event.detail.since)
            told = {"state": WAITS, "why": f"since {since}: {event.detail.why}"}
            rows[key] = rows[key].model_copy(update=told)
        elif isinstance(event, WaitedEvent) and key in rows:
            rows[key] = rows[key].model_copy(update={"state": RUNNING, "why": ""})
        elif isinstance(event, MemberReplacedEvent) and key in rows:
            moved.setdefault(key, set()).add(event.detail.member)
            rows[key] = rows[key].model_copy(update={"moved": len(moved[key])})
        elif isinstance(event, RolloutCutShortEvent) and key in rows:
            told = {"state": CUT_SHORT, "why": event.detail.why}
            rows[key] = rows[key].model_copy(update=told)
        elif isinstance(event, RolloutEndedEvent) and key in rows:
            rows[key] = rows[key].model_copy(update=_ended(event))
    found = [row for row in rows.values() if fleet is None or row.fleet == fleet]
    return sorted(found, key=lambda row: (row.time, row.run_id), reverse=True)


def rollout_key(event: LedgerEvent) -> RolloutKey | None:
    """Return the rollout that an event is of; None if it is of none."""
    if isinstance(event, (WaitsEvent, WaitedEvent)):
        fleet = event.detail.what
    elif isinstance(event, _OF_ROLLOUTS):
        fleet = event.detail.fleet
    else:
        return None
    return RolloutKey(event.dag_id, event.run_id, fleet)


def _ended(event: RolloutEndedEvent) -> dict[str, object]:
    replaced = {
        way: {one.member for one in event.detail.outcomes if one.way == way and one.state in _GOOD}
        for way in ("forward", "back")
    }
    went_back = {one.member for one in event.detail.outcomes if one.way == "back"}
    if event.reason is Reason.NEW_IMAGE:
        state = ROLLED_OUT
    elif event.reason is Reason.STOPPED:
        state = STOPPED
    else:
        state = ROLLED_BACK if went_back and went_back <= replaced["back"] else FAILED
    return {
        "state": state,
        "why": event.reason.text,
        "moved": len(replaced["forward"] - went_back),
    }
