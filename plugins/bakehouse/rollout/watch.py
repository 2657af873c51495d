"""Watch members after their replacement: what is seen of each, and when it has failed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from bakehouse.rollout.health import (
    Health,
    HealthAssessment,
    Sighting,
    explain,
    failure,
    see,
    silence,
)
from bakehouse.rollout.instance_facts import boot_of
from bakehouse.rollout.second_try import Cause, taken_away

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bakehouse.images.links import Resource
    from bakehouse.rollout.strategies.swap import Swap

BETWEEN_LOOKS = timedelta(seconds=15)  # where no report says its period


@dataclass(frozen=True)
class Watched:
    """What is known of a member after some looks."""

    swap: Swap
    seen: Sighting
    status: str
    since: datetime  # of this status
    changed: str = ""  # why it is not the member any more that the rollout has made

    def failure(self, now: datetime) -> str:
        """Return why the member has failed; empty if it has not, or not yet."""
        if self.changed:
            return self.changed
        if self.status != "RUNNING":
            down = now - self.since
            is_long = down > silence(self.seen.health)
            return f"it has been {self.status} for {_seconds(down)} s" if is_long else ""
        return failure(self.seen, self.swap.image.name, self.swap.before, now)

    def is_good(self, now: datetime, *, again: bool) -> bool:
        """Whether the watch may end: it runs, and its last report is fresh and healthy.

        `again`: the watch was interrupted, so the report must be newer than that.
        """
        if self.changed or self.status != "RUNNING":
            return False
        if again and self.repeats and not self.seen.reports:
            return False
        assessed = self.seen.assess(self.swap.image.name, self.swap.before, now)
        return assessed is HealthAssessment.HEALTHY

    @property
    def repeats(self) -> bool:
        """Whether the member reports again and again."""
        return self.seen.health is not None and self.seen.health.period is not None

    def news(self, before: Watched | None, now: datetime) -> str | None:
        """Return what a log should say of this look; None if all is as it was."""
        image, boot = self.swap.image.name, self.swap.before
        if self.changed or self.status != "RUNNING":
            said = self.changed or f"it is {self.status}"
            is_new = before is None or (before.status, before.changed) != (
                self.status,
                self.changed,
            )
            return said if is_new else None
        is_now = self.seen.assess(image, boot, now)
        was = before.seen.assess(image, boot, now) if before is not None else None
        if before is not None and before.status == "RUNNING" and is_now is was:
            return None
        return explain(self.seen.health, image, boot, now - self.seen.since)


def look(
    before: Watched | None,
    swap: Swap,
    instance: Resource | None,
    health: Health | None,
    now: datetime,
) -> Watched:
    """Return what is known after another look, at `now`, the watcher's time."""
    status = str(instance["status"]) if instance is not None else "GONE"
    is_same = before is not None and before.status == status
    return Watched(
        swap=swap,
        seen=see(before.seen if before is not None else None, health, now),
        status=status,
        since=before.since if before is not None and is_same else now,
        changed=_changed(swap, instance),
    )


def pause(watched: Iterable[Watched], now: datetime, until: datetime) -> float:
    """Return the seconds until the next look: one in each period, and one at the end."""
    periods = [w.seen.health.period for w in watched if w.seen.health and w.seen.health.period]
    wait = min(periods, default=BETWEEN_LOOKS)
    left = until - now
    return (min(wait, left) if left > timedelta(0) else wait).total_seconds()


def cause_of_end(swap: Swap, instance: Resource | None, kinds: Iterable[str]) -> Cause | None:
    """Return the member's own reason not to have stayed healthy; None: it is the image's.

    Args:
        swap: what the member has been moved to.
        instance: as it is now.
        kinds: of the operations on it, newest first.
    """
    if _changed(swap, instance):
        return Cause.GONE
    is_off = instance is not None and instance.get("status") != "RUNNING"
    return Cause.HOST_LOST if is_off and taken_away(kinds) else None


def _changed(swap: Swap, instance: Resource | None) -> str:
    if instance is None or not swap.is_member(instance):
        return "the instance was deleted or recreated"
    boot = boot_of(instance)
    has = boot["name"] if boot is not None else "none"
    return "" if has in swap.disks else f"its boot disk is {has} instead of {swap.disk}"


def _seconds(time: timedelta) -> int:
    return round(time.total_seconds())
