"""Snapshot schedules: at each full hour, snapshots of the disks whose resource policies are due.

Compute Engine's schedules begin at full hours only, so that nothing has to be watched in between.
What was due while no server ran is not made up for.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from localgce.core import links
from localgce.core.errors import ApiError, invalid
from localgce.images import snapshots

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localgce.core.context import Core
    from localgce.core.errors import Json
    from localgce.core.store import Record

log = logging.getLogger("localgce")
_HOUR = timedelta(hours=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
_KINDS = ("hourlySchedule", "dailySchedule", "weeklySchedule")
_LONGEST_NAME = 63


def check(schedule: Json) -> None:
    """Raise 400 for a schedule that Compute Engine rejects."""
    where = "resource.snapshotSchedulePolicy.schedule"
    given = [key for key in _KINDS if schedule.get(key)]
    if len(given) != 1:
        text = "Exactly one of hourlySchedule, dailySchedule and weeklySchedule is needed."
        raise invalid(where, ", ".join(given), text)
    for start in _starts(schedule):
        hour, _, minute = start.partition(":")
        if not (len(start) == 5 and hour.isdecimal() and int(hour) < 24 and minute == "00"):
            raise invalid(f"{where}.{given[0]}.startTime", start, "It must be HH:00, in GMT.")
    days = schedule.get("dailySchedule", {}).get("daysInCycle", 1)
    if days != 1:
        raise invalid(f"{where}.dailySchedule.daysInCycle", days, "It must be 1.")
    hours = schedule.get("hourlySchedule", {}).get("hoursInCycle", 1)
    if not 1 <= hours <= 24:
        raise invalid(f"{where}.hourlySchedule.hoursInCycle", hours, "It must be 1 to 24.")


def is_due(schedule: Json, hour: datetime) -> bool:
    """Whether a schedule has a run at this full hour, in UTC."""
    if weekly := schedule.get("weeklySchedule"):
        return any(
            day["day"] == _DAYS[hour.weekday()] and _hour_of(day["startTime"]) == hour.hour
            for day in weekly.get("dayOfWeeks", [])
        )
    if daily := schedule.get("dailySchedule"):
        return _hour_of(daily["startTime"]) == hour.hour
    hourly = schedule["hourlySchedule"]
    passed = (hour - _EPOCH) // _HOUR - _hour_of(hourly["startTime"])
    return passed % int(hourly.get("hoursInCycle", 1)) == 0


def _starts(schedule: Json) -> Iterator[str]:
    for key in ("hourlySchedule", "dailySchedule"):
        if key in schedule:
            yield str(schedule[key].get("startTime", ""))
    for day in schedule.get("weeklySchedule", {}).get("dayOfWeeks", []):
        yield str(day.get("startTime", ""))


def _hour_of(start: str) -> int:
    return int(start[:2])


class SnapshotSchedules:
    """Makes the snapshots of schedules, and deletes those whose retention is over."""

    def __init__(self, core: Core) -> None:
        """Use the server's clock and its commands."""
        self._core = core
        self._ticking: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to wait for full hours."""
        self._ticking = asyncio.create_task(self._tick())

    async def close(self) -> None:
        """Wait no more."""
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)

    async def _tick(self) -> None:
        while True:
            now = datetime.fromtimestamp(self._core.clock.now(), UTC)
            hour = now.replace(minute=0, second=0, microsecond=0) + _HOUR
            await self._core.clock.sleep((hour - now).total_seconds())
            self._run(hour)

    def _run(self, hour: datetime) -> None:
        store = self._core.store
        for disk in store.all("disks", self._core.settings.project):
            for policy in self._policies(disk):
                if is_due(policy.body["snapshotSchedulePolicy"]["schedule"], hour):
                    self._insert(disk, policy, hour)
        for snapshot in store.all("snapshots", self._core.settings.project):
            if self._is_over(snapshot, hour):
                self._delete(snapshot)

    def _policies(self, disk: Record) -> Iterator[Record]:
        for link in disk.body.get("resourcePolicies", []):
            found = self._core.store.at(
                links.parse(link, project=disk.project, field="resourcePolicies")
            )
            if found is not None and "snapshotSchedulePolicy" in found.body and _runs(found):
                yield found

    def _insert(self, disk: Record, policy: Record, hour: datetime) -> None:
        properties = policy.body["snapshotSchedulePolicy"].get("snapshotProperties", {})
        body = {
            "name": _name(disk, policy, hour),
            **{k: properties[k] for k in ("labels", "storageLocations") if k in properties},
        }
        context = self._core.unfaulted("compute.snapshots.insert", disk.project, "global")
        try:
            with self._core.store.transaction():
                snapshots.insert(context, disk, body, policy=policy)
        except ApiError as error:  # such as a disk that is being deleted, or the same hour again
            log.warning("no snapshot of %s by %s: %s", disk.path, policy.name, error.message)

    def _is_over(self, snapshot: Record, hour: datetime) -> bool:
        """Whether its policy keeps a snapshot no longer, and still has a say in it."""
        store = self._core.store
        policy = store.by_id("resourcePolicies", str(snapshot.private.get("policy", "")))
        if policy is None or snapshot.body["status"] != "READY":
            return False
        retention = policy.body["snapshotSchedulePolicy"].get("retentionPolicy")
        if retention is None or "maxRetentionDays" not in retention:
            return False
        disk = store.by_id("disks", str(snapshot.body["sourceDiskId"]))
        if disk is None and retention.get("onSourceDiskDelete") != "APPLY_RETENTION_POLICY":
            return False
        if disk is not None and policy.id not in {one.id for one in self._policies(disk)}:
            return False
        days = timedelta(days=int(retention["maxRetentionDays"]))
        return hour - datetime.fromtimestamp(snapshot.private["at"], UTC) >= days

    def _delete(self, snapshot: Record) -> None:
        context = self._core.unfaulted("compute.snapshots.delete", snapshot.project, "global")
        with self._core.store.transaction():
            snapshots.delete(context, snapshot)


def _runs(policy: Record) -> bool:
    """Whether the schedule can run: earlier versions have recorded any."""
    try:
        check(policy.body["snapshotSchedulePolicy"].get("schedule", {}))
    except ApiError as error:
        log.warning("%s does not run: %s", policy.path, error.message)
        return False
    return True


def _name(disk: Record, policy: Record, hour: datetime) -> str:
    """As Compute Engine's: disk, zone, time, and eight letters of the disk and the policy."""
    own = hashlib.sha256(f"{disk.id} {policy.id}".encode()).hexdigest()[:8]
    rest = f"-{links.last(disk.scope)}-{hour:%Y%m%d%H%M%S}-{own}"
    return disk.name[: _LONGEST_NAME - len(rest)].rstrip("-") + rest
