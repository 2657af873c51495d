"""The metrics that Bakehouse sends: their names, and which event of the ledger gives which. Pure.

docs/operating.md has a table of them, which a test compares with `NAMES`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bakehouse.core.models import Frozen
from bakehouse.history.bake_events import BakeEvent, SlaMissEvent, VerdictEvent
from bakehouse.history.fleet_events import MembersEvent
from bakehouse.history.rollout_events import RolloutCutShortEvent, RolloutEndedEvent
from bakehouse.history.wait_events import WaitedEvent, WaitsEvent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bakehouse.history.event import Event

BAKE_SECONDS = "bakehouse.bake_seconds"
BOOT_SECONDS = "bakehouse.boot_seconds"
IMAGE_AGE_DAYS = "bakehouse.image_age_days"
MISSING_FIX_DAYS = "bakehouse.missing_fix_days"
DRIFTING_MEMBERS = "bakehouse.drifting_members"
WAITING_ROLLOUTS = "bakehouse.waiting_rollouts"
SLA_MISSES = "bakehouse.sla_misses"
NAMES = (
    BAKE_SECONDS,
    BOOT_SECONDS,
    IMAGE_AGE_DAYS,
    MISSING_FIX_DAYS,
    DRIFTING_MEMBERS,
    WAITING_ROLLOUTS,
    SLA_MISSES,
)
_DAY = 86_400


class Metric(Frozen):
    """One value; the tags are in the order in which a name without tags has them."""

    name: str
    kind: Literal["gauge", "timing", "count"]  # timing: in seconds
    value: float
    tags: dict[str, str]


def metrics_of(event: Event) -> Iterator[Metric]:
    """Yield the metrics that an event gives; of most kinds there are none."""
    match event:
        case BakeEvent():
            tags = {"recipe": event.recipe}
            yield Metric(name=BAKE_SECONDS, kind="timing", value=event.detail.seconds, tags=tags)
        case VerdictEvent() if event.detail.ready_seconds is not None:
            seconds, tags = event.detail.ready_seconds, {"recipe": event.recipe}
            yield Metric(name=BOOT_SECONDS, kind="timing", value=seconds, tags=tags)
        case MembersEvent():
            yield from _ages(event)
        case WaitsEvent() if event.detail.what != event.image:  # else a promotion waits
            yield _waiting(event.detail.what, 1)
        case WaitedEvent() if event.detail.what != event.image:
            yield _waiting(event.detail.what, 0)
        case RolloutEndedEvent() | RolloutCutShortEvent():
            yield _waiting(event.detail.fleet, 0)
        case SlaMissEvent():
            tags = {"dag_id": event.dag_id, "task_id": event.detail.task_id}
            yield Metric(name=SLA_MISSES, kind="count", value=1, tags=tags)


def drifting_members(fleet: str, count: int) -> Metric:
    """Return how many members of a fleet are not as they should be."""
    return Metric(name=DRIFTING_MEMBERS, kind="gauge", value=count, tags={"fleet": fleet})


def missing_fix_days(fleet: str, member: str, days: float) -> Metric:
    """Return for how many days a member has lacked a security update; 0: it lacks none."""
    tags = {"fleet": fleet, "member": member}
    return Metric(name=MISSING_FIX_DAYS, kind="gauge", value=days, tags=tags)


def _ages(event: MembersEvent) -> Iterator[Metric]:
    for one in event.detail.members:
        if one.image_created is not None:
            days = round((event.happened - one.image_created).total_seconds() / _DAY, 1)
            tags = {"fleet": event.detail.fleet, "member": one.member}
            yield Metric(name=IMAGE_AGE_DAYS, kind="gauge", value=max(0.0, days), tags=tags)


def _waiting(fleet: str, count: int) -> Metric:
    return Metric(name=WAITING_ROLLOUTS, kind="gauge", value=count, tags={"fleet": fleet})
