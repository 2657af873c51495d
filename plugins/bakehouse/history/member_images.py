"""What each member of each fleet runs now, since when, why, and instead of what. Pure.

Rollouts say it of the members that they change, and a nightly look at the fleets of all members.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import AwareDatetime

from bakehouse.core.models import Frozen
from bakehouse.core.reasons import Reason
from bakehouse.history.fleet_events import MembersEvent
from bakehouse.history.housekeeping_events import DriftEvent
from bakehouse.history.rollout_events import (
    MemberReplacedEvent,
    MemberRolledBackEvent,
    RolloutPlannedEvent,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bakehouse.history.event import Event
    from bakehouse.history.fleet_events import ListedMember

_REMOVED = "removed"  # the state of a member that a rollout has deleted again


class MemberImage(Frozen):
    """A member and the image of its boot disk."""

    fleet: str
    member: str
    zone: str
    image: str
    image_id: str = ""
    image_created: AwareDatetime | None = None
    git_sha: str = ""
    since: AwareDatetime
    is_since_exact: bool = True
    """False: it was there when it was first looked at, or somebody else has changed it."""
    reason: Reason
    why: str = ""
    replaced: str | None = None
    """The image that it ran before; None if that is not known."""
    dag_id: str = ""
    run_id: str = ""
    seen: AwareDatetime
    """The newest moment at which it is known to run this image."""


def member_images(events: Iterable[Event]) -> list[MemberImage]:
    """Return all members, by fleet and name; `events`: in any order, others are ignored."""
    found: dict[tuple[str, str], MemberImage] = {}
    goals: dict[tuple[str, str], str | None] = {}  # of each run: the image that it rolls out
    for event in sorted(events, key=lambda event: event.happened):
        if isinstance(event, MembersEvent):
            _look(event, found)
        elif isinstance(event, RolloutPlannedEvent):
            goals[event.dag_id, event.run_id] = event.image
        elif isinstance(event, MemberReplacedEvent):
            _change(event, found, event.detail.old_image or None)
        elif isinstance(event, MemberRolledBackEvent):
            _change(event, found, goals.get((event.dag_id, event.run_id)))
    return [found[key] for key in sorted(found)]


def drift_now(events: Iterable[Event]) -> dict[str, DriftEvent]:
    """Return the drift of each fleet that had some at the last look at it."""
    looks: dict[str, str] = {}  # fleet -> the run that has looked at it last
    drifts: dict[str, DriftEvent] = {}
    for event in sorted(events, key=lambda event: event.happened):
        if isinstance(event, MembersEvent):
            looks[event.detail.fleet] = event.run_id
        elif isinstance(event, DriftEvent):
            drifts[event.detail.fleet] = event
    return {
        fleet: event for fleet, event in drifts.items() if looks.get(fleet) in {None, event.run_id}
    }


def _look(event: MembersEvent, found: dict[tuple[str, str], MemberImage]) -> None:
    fleet = event.detail.fleet
    listed = {(fleet, one.member): one for one in event.detail.members}
    for gone in [key for key in found if key[0] == fleet and key not in listed]:
        del found[gone]
    for key, one in listed.items():
        known = found.get(key)
        if known is not None and _is_same(known, one):
            found[key] = known.model_copy(
                update={"seen": event.happened, "image_created": one.image_created}
            )
        else:
            found[key] = _first_seen(event, one, known)


def _is_same(known: MemberImage, one: ListedMember) -> bool:
    if known.image_id and one.image_id:
        return known.image_id == one.image_id
    return known.image == one.image


def _first_seen(event: MembersEvent, one: ListedMember, known: MemberImage | None) -> MemberImage:
    return MemberImage(
        fleet=event.detail.fleet,
        member=one.member,
        zone=one.zone,
        image=one.image,
        image_id=one.image_id,
        image_created=one.image_created,
        since=event.happened,
        is_since_exact=False,
        reason=Reason.MEMBERS_LISTED if known is None else Reason.STRAYED,
        why="it was there when the fleet was first looked at"
        if known is None
        else "somebody has changed it outside a rollout",
        replaced=known.image if known is not None else None,
        seen=event.happened,
    )


def _change(
    event: MemberReplacedEvent | MemberRolledBackEvent,
    found: dict[tuple[str, str], MemberImage],
    replaced: str | None,
) -> None:
    detail = event.detail
    key = (detail.fleet, detail.member)
    known = found.get(key)
    if detail.state == _REMOVED:
        found.pop(key, None)
    elif event.reason is Reason.NEW_METADATA and known is not None:
        found[key] = known.model_copy(update={"seen": event.happened})
    else:
        found[key] = MemberImage(
            fleet=detail.fleet,
            member=detail.member,
            zone=detail.zone,
            image=event.image or "",
            image_id=detail.image_id,
            git_sha=event.git_sha or "",
            since=event.happened,
            reason=event.reason,
            why=detail.why,
            replaced=replaced,
            dag_id=event.dag_id,
            run_id=event.run_id,
            seen=event.happened,
        )
