"""Snapshot schedules of resource policies: which hours they run at, and what they leave."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localgce.core.errors import ApiError
from localgce.disks.snapshot_schedules import check, is_due

from .gce import ZONE

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Server
    from .gce import Gce

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
POLICIES = "regions/us-central1/resourcePolicies"
DISKS = f"zones/{ZONE}/disks"
DAILY: dict[str, Any] = {"dailySchedule": {"daysInCycle": 1, "startTime": "04:00"}}
HOURS = st.integers(0, 23)


def due_in(schedule: dict[str, Any], hours: int) -> list[int]:
    """The hours after Monday, 0:00 UTC, at which a schedule runs."""
    return [h for h in range(hours) if is_due(schedule, MONDAY + timedelta(hours=h))]


@given(start=HOURS)
def test_a_daily_schedule_runs_once_a_day_at_its_hour(start: int) -> None:
    schedule = {"dailySchedule": {"daysInCycle": 1, "startTime": f"{start:02}:00"}}
    check(schedule)
    assert due_in(schedule, 72) == [start, start + 24, start + 48]


@given(start=HOURS, cycle=st.sampled_from([1, 2, 3, 4, 6, 8, 12, 24]))
def test_an_hourly_schedule_runs_each_cycle_from_its_start_on(start: int, cycle: int) -> None:
    schedule = {"hourlySchedule": {"hoursInCycle": cycle, "startTime": f"{start:02}:00"}}
    check(schedule)
    due = due_in(schedule, 48)
    assert start in due
    assert {later - earlier for earlier, later in pairwise(due)} == {cycle}


def test_a_weekly_schedule_runs_on_its_days() -> None:
    days = [{"day": "TUESDAY", "startTime": "05:00"}, {"day": "SUNDAY", "startTime": "23:00"}]
    schedule = {"weeklySchedule": {"dayOfWeeks": days}}
    check(schedule)
    assert due_in(schedule, 7 * 24) == [24 + 5, 6 * 24 + 23]


@pytest.mark.parametrize(
    ("schedule", "field"),
    [
        ({}, "schedule"),
        ({**DAILY, "hourlySchedule": {"hoursInCycle": 1, "startTime": "00:00"}}, "schedule"),
        ({"dailySchedule": {"daysInCycle": 1}}, "startTime"),
        ({"dailySchedule": {"daysInCycle": 1, "startTime": "04:30"}}, "startTime"),
        ({"dailySchedule": {"daysInCycle": 1, "startTime": "24:00"}}, "startTime"),
        ({"dailySchedule": {"daysInCycle": 2, "startTime": "04:00"}}, "daysInCycle"),
        ({"hourlySchedule": {"hoursInCycle": 25, "startTime": "04:00"}}, "hoursInCycle"),
    ],
)
def test_a_schedule_that_compute_engine_rejects_is_refused(
    schedule: dict[str, Any], field: str
) -> None:
    with pytest.raises(ApiError) as refused:
        check(schedule)
    assert refused.value.status == 400
    assert field in refused.value.message


def policy(gce: Gce, name: str, **more: Any) -> None:
    body = {"name": name, "snapshotSchedulePolicy": {"schedule": DAILY, **more}}
    gce.do("POST", POLICIES, body)


def advance(gce: Gce, **duration: float) -> None:
    gce.admin("POST", "clock", {"advance": timedelta(**duration).total_seconds()})


def snapshots(gce: Gce) -> list[dict[str, Any]]:
    return sorted(gce.items("global/snapshots"), key=lambda one: one["creationTimestamp"])


def ready(gce: Gce, count: int) -> list[dict[str, Any]]:
    gce.until(lambda: [s["status"] for s in snapshots(gce)] == ["READY"] * count)
    return snapshots(gce)


def test_a_schedule_makes_snapshots_and_deletes_old_ones(
    make_server: Callable[..., Server],
) -> None:
    gce = make_server("--clock", "manual").start()
    retention = {"maxRetentionDays": 2, "onSourceDiskDelete": "KEEP_AUTO_SNAPSHOTS"}
    kept = {"labels": {"by": "schedule"}, "storageLocations": ["us-central1"]}
    policy(gce, "daily", retentionPolicy=retention, snapshotProperties=kept)
    gce.do("POST", DISKS, {"name": "data", "sizeGb": "10"})
    gce.do("POST", DISKS, {"name": "other", "sizeGb": "10"})
    advance(gce, days=1)
    assert snapshots(gce) == []
    gce.do("POST", f"{DISKS}/data/addResourcePolicies", {"resourcePolicies": [f"{POLICIES}/daily"]})
    advance(gce, days=1)
    (one,) = ready(gce, 1)
    assert one["name"].startswith("data-us-central1-a-2023")
    assert one["sourceDisk"].endswith(f"{DISKS}/data")
    assert one["sourceSnapshotSchedulePolicy"].endswith(f"{POLICIES}/daily")
    assert (one["autoCreated"], one["labels"]) == (True, {"by": "schedule"})
    assert one["storageLocations"] == ["us-central1"]
    advance(gce, days=1)
    ready(gce, 2)
    advance(gce, days=1)
    gce.until(lambda: one["name"] not in {s["name"] for s in snapshots(gce)})
    assert len(ready(gce, 2)) == 2
    gce.do(
        "POST", f"{DISKS}/data/removeResourcePolicies", {"resourcePolicies": [f"{POLICIES}/daily"]}
    )
    advance(gce, days=5)
    assert len(ready(gce, 2)) == 2


def test_snapshots_outlive_their_disk_unless_the_policy_says_otherwise(
    make_server: Callable[..., Server],
) -> None:
    gce = make_server("--clock", "manual").start()
    for name, rule in (("keep", "KEEP_AUTO_SNAPSHOTS"), ("drop", "APPLY_RETENTION_POLICY")):
        policy(gce, name, retentionPolicy={"maxRetentionDays": 1, "onSourceDiskDelete": rule})
        gce.do(
            "POST", DISKS,
            {"name": name, "sizeGb": "10", "resourcePolicies": [f"{POLICIES}/{name}"]},
        )  # fmt: skip
    advance(gce, days=1)
    ready(gce, 2)
    for name in ("keep", "drop"):
        gce.do("DELETE", f"{DISKS}/{name}")
    advance(gce, days=2)
    gce.until(lambda: len(snapshots(gce)) == 1)
    assert snapshots(gce)[0]["name"].startswith("keep-")


def test_a_schedule_at_half_past_is_refused(instant: Gce, name: str) -> None:
    schedule = {"dailySchedule": {"daysInCycle": 1, "startTime": "04:30"}}
    body = {"name": name, "snapshotSchedulePolicy": {"schedule": schedule}}
    message = instant.fails(400, "invalid", "POST", POLICIES, body)
    assert message.endswith("'04:30'. It must be HH:00, in GMT.")
