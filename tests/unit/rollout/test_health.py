"""Health reports: which are answers, for how long, and what fails a member that is watched."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bakehouse.rollout import health as health_of
from bakehouse.rollout.health import (
    Health,
    HealthAssessment,
    Sighting,
    assess_health,
    explain,
    failure,
    parse,
    see,
)

NOW = datetime(2026, 11, 27, 3, tzinfo=UTC)
OLD_FORM = {"state": "healthy", "image": "web-2", "boot_id": "b1", "ready_seconds": 9.1}


def report(number: int = 0, **fields: Any) -> Health:
    """The report of a member at its n-th period, in the form of the guest."""
    uptime = 10.0 + 15 * number
    form = {
        **OLD_FORM,
        "time": f"2026-11-27T03:00:{number:02d}Z",
        "uptime": uptime,
        "period": 15,
        "check_limit": 15,
        "restarts": 0,
        "detail": "",
    }
    found = parse(json.dumps(form | fields))
    assert found is not None
    return found


def ill(number: int, **fields: Any) -> Health:
    return report(number, state="unhealthy", detail="app.service has failed", **fields)


def watch(*reads: Health | None, every: float = 15) -> tuple[Sighting, datetime]:
    """What is known after these reads, so many seconds apart, and the time of the last."""
    seen, moment = None, NOW
    for number, health in enumerate(reads):
        moment = NOW + timedelta(seconds=every * number)
        seen = see(seen, health, moment)
    assert seen is not None
    return seen, moment


def failed(*reads: Health | None, every: float = 15) -> str:
    seen, moment = watch(*reads, every=every)
    return failure(seen, "web-2", "b0", moment)


def test_a_report_says_when_it_was_written_and_when_the_next_one_is_due() -> None:
    health = report(2)
    assert health.time == datetime(2026, 11, 27, 3, 0, 2, tzinfo=UTC)
    assert (health.uptime, health.period) == (40.0, timedelta(seconds=15))
    assert health.after(3) == timedelta(seconds=60)


def test_a_report_of_the_old_form_has_no_period() -> None:
    health = parse(json.dumps(OLD_FORM))
    assert health is not None
    assert (health.time, health.period, health.restarts, health.after(3)) == (None,) * 4
    assert health.boot_seconds is None


def test_a_report_says_what_its_boot_script_took() -> None:
    assert report(boot_seconds=1.25).boot_seconds == pytest.approx(1.25)
    assert report(boot_seconds=0).boot_seconds == pytest.approx(0.0)


@pytest.mark.parametrize("value", [None, -1, True, "1.25", float("nan"), float("inf"), 1e99, []])
def test_seconds_of_a_boot_script_that_make_no_sense_are_left_out(value: Any) -> None:
    health = report(boot_seconds=value)
    assert (health.boot_seconds, health.state, health.uptime) == (None, "healthy", 10.0)


@pytest.mark.parametrize(
    "fields",
    [
        {"time": "yesterday", "uptime": "long", "period": -1, "check_limit": None},
        {"time": 5, "uptime": True, "period": 0, "check_limit": []},
        {"time": "9999-12-31T23:59:59-23:59", "uptime": 1e99, "period": float("nan")},
    ],
)
def test_values_that_make_no_sense_leave_a_report_of_the_old_form(fields: Any) -> None:
    health = parse(json.dumps(OLD_FORM | fields))
    assert health is not None
    assert (health.time, health.uptime, health.period) == (None, None, None)
    assert assess_health(health, "web-2", None, timedelta(days=9)) is HealthAssessment.HEALTHY


def test_a_report_is_stale_once_it_has_been_the_same_for_three_periods_and_a_check() -> None:
    for seconds, expected in [(60, HealthAssessment.HEALTHY), (61, HealthAssessment.STALE)]:
        same_for = timedelta(seconds=seconds)
        assert assess_health(report(), "web-2", "b0", same_for) is expected
        assert assess_health(ill(0), "web-2", "b0", timedelta(seconds=61)) is HealthAssessment.STALE
    assert explain(report(), "web-2", "b0", timedelta(seconds=61)) == (
        "no health report for 61 s (one is due each 15 s); the last one said healthy"
    )


@pytest.mark.parametrize("years", [-30, 0, 30])
def test_a_clock_that_is_wrong_changes_nothing(years: int) -> None:
    reads = [report(n, time=f"{2026 + years}-11-27T03:00:{n:02d}Z") for n in range(9)]
    seen, moment = watch(*reads)
    assert seen.assess("web-2", "b0", moment) is HealthAssessment.HEALTHY
    assert failure(seen, "web-2", "b0", moment) == ""
    stopped, moment = watch(*[reads[0]] * 9)
    assert stopped.assess("web-2", "b0", moment) is HealthAssessment.STALE


def test_a_clock_that_stands_or_jumps_back_is_no_missing_report() -> None:
    reads = [report(n, time=f"2026-11-27T03:00:{9 - n:02d}Z") for n in range(9)]
    assert failed(*reads) == ""
    assert failed(*[report(n, time="2026-11-27T03:00:00Z") for n in range(9)]) == ""


def test_one_unhealthy_report_is_not_enough_and_two_in_a_row_are() -> None:
    assert failed(report(0), ill(1)) == ""
    assert failed(report(0), ill(1), ill(1), ill(1)) == ""  # the same report, read again
    assert failed(report(0), ill(1), report(2), ill(3)) == ""
    assert failed(report(0), ill(1), ill(2)) == "unhealthy: app.service has failed"


def test_a_report_of_the_old_form_counts_at_once_and_is_never_stale() -> None:
    old, bad = parse(json.dumps(OLD_FORM)), parse(json.dumps(OLD_FORM | {"state": "unhealthy"}))
    assert failed(*[old] * 99) == ""
    assert failed(bad) == "unhealthy"


def test_a_member_that_stops_to_report_fails_after_six_periods() -> None:
    silent = [report(0)] * 8  # 105 s: six periods and one check
    assert failed(*silent) == ""
    assert failed(*silent, report(0)) == (
        "no health report for 120 s (one is due each 15 s); the last one said healthy"
    )
    assert failed(*silent, report(8)) == ""


def test_a_lost_report_is_nothing() -> None:
    assert failed(report(0), None, None, report(3), report(3), report(5)) == ""


def test_no_report_of_the_image_fails_in_time() -> None:
    assert failed(*[None] * 7) == ""
    assert failed(*[None] * 8) == "no health report"
    assert "instead of 'web-2'" in failed(*[report(0, image="web-1")] * 9)
    assert "since the restart" in failed(*[report(0, boot_id="b0")] * 9)


def test_one_reboot_is_allowed_and_two_are_not() -> None:
    assert failed(report(0), report(1, boot_id="b2")) == ""
    assert failed(report(0), report(1, boot_id="b2"), report(2, boot_id="b3")) == (
        "it has booted 2 times while it was watched"
    )


def test_a_unit_that_dies_and_is_started_again_is_counted() -> None:
    assert failed(report(0, restarts=5), report(1, restarts=6)) == ""
    assert failed(report(0, restarts=5), report(1, restarts=6), report(2, restarts=7)) == (
        "its services were started again 2 times while it was watched"
    )
    booted = report(1, boot_id="b2", restarts=1)
    assert failed(report(0, restarts=5), booted) == ""
    assert failed(report(0, restarts=None), report(1, restarts=9)) == ""


def test_who_asks_once_more_knows_whether_a_member_is_ill_or_silent() -> None:
    first, later = report(0), NOW + timedelta(seconds=61)
    assert health_of.ill(None, "", NOW, later) == ""
    assert health_of.ill(first, str(first.stamp), NOW, later - timedelta(seconds=1)) == ""
    assert health_of.ill(first, str(first.stamp), NOW, later).startswith(
        "no health report for 61 s"
    )
    assert health_of.ill(report(1), str(first.stamp), NOW, later) == ""
    assert health_of.ill(ill(1), "", NOW, NOW) == "unhealthy: app.service has failed"


def surveyed(*reads: Health | None, every: float = 15) -> str | None:
    seen, moment = watch(*reads, every=every)
    return health_of.survey(seen, moment)


def test_a_survey_reads_again_until_it_knows() -> None:
    assert surveyed(None) == ""
    assert surveyed(report(0)) is None
    assert surveyed(report(0), report(0)) is None
    assert surveyed(report(0), report(1)) == ""
    assert str(surveyed(*[report(0)] * 6)).startswith("no health report for 75 s")
    assert surveyed(report(0), ill(1)) is None
    assert surveyed(report(0), ill(1), ill(2)) == "unhealthy: app.service has failed"
    assert surveyed(ill(0), ill(1)) == "unhealthy: app.service has failed"
    assert surveyed(ill(0), report(1)) == ""


def test_a_survey_knows_a_report_of_the_old_form_at_once() -> None:
    assert surveyed(parse(json.dumps(OLD_FORM))) == ""
    assert surveyed(parse(json.dumps(OLD_FORM | {"state": "unhealthy"}))) == "unhealthy"
