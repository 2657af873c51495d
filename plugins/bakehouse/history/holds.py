"""Which image each fleet is held from: a person has rolled the fleet back from it. Pure.

A hold keeps an image, and every older one but the one that the fleet was rolled back to, from
getting into the fleet by itself: by `rollout: follow`, at the end of a bake, or with an empty form.
It ends when a person releases it, or when the fleet has moved to another image: one that a person
has named, or one that is newer than the held one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import AwareDatetime

from bakehouse.core.models import Frozen
from bakehouse.core.reasons import Reason
from bakehouse.core.time import format_utc
from bakehouse.history.fleet_events import HoldReleasedEvent, ImageHeldEvent
from bakehouse.history.rollout_events import RolloutEndedEvent

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from bakehouse.history.event import Event


class Hold(Frozen):
    """The image that a fleet is held from, since when, by whom and why."""

    fleet: str
    image: str
    image_id: str
    image_created: AwareDatetime
    instead: str
    instead_id: str
    since: AwareDatetime
    by: str = ""
    why: str = ""
    dag_id: str
    run_id: str

    def holds(self, image_id: str, created: datetime) -> bool:
        """Whether an image of the fleet's recipe stays out."""
        return image_id != self.instead_id and created <= self.image_created

    def __str__(self) -> str:
        """The sentence for people."""
        why = f": {self.why}" if self.why else ""
        return (
            f"{self.image} is held back from the fleet {self.fleet} since {format_utc(self.since)}"
            f" by {self.by or 'a person'}, who rolled it back to {self.instead}{why}"
        )


def holds(events: Iterable[Event]) -> dict[str, Hold]:
    """Return the hold of each fleet that has one; `events`: in any order, others are ignored."""
    found: dict[str, Hold] = {}
    for event in sorted(events, key=lambda event: event.happened):
        if isinstance(event, ImageHeldEvent):
            found[event.detail.fleet] = _hold(event)
        elif isinstance(event, HoldReleasedEvent):
            found.pop(event.detail.fleet, None)
        elif isinstance(event, RolloutEndedEvent) and _has_moved_on(event, found):
            del found[event.detail.fleet]
    return found


def _hold(event: ImageHeldEvent) -> Hold:
    detail = event.detail
    return Hold(
        fleet=detail.fleet,
        image=event.image,
        image_id=detail.image_id,
        image_created=detail.created,
        instead=detail.instead,
        instead_id=detail.instead_id,
        since=event.happened,
        by=detail.by,
        why=detail.why,
        dag_id=event.dag_id,
        run_id=event.run_id,
    )


def _has_moved_on(event: RolloutEndedEvent, found: dict[str, Hold]) -> bool:
    """Whether the whole fleet of a hold is on another image than the one of the way back."""
    hold = found.get(event.detail.fleet)
    ended_well = event.reason in {Reason.NEW_IMAGE, Reason.NOTHING_TO_REPLACE}
    return (
        hold is not None
        and ended_well
        and not event.detail.partial
        and event.detail.image_id != hold.instead_id
    )
