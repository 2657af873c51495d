"""When a recipe is baked: its night in its time zone, its offset, and what is not made up for."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from unittest import mock
from zoneinfo import ZoneInfo, available_timezones

import pendulum
import pytest
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.utils.types import DagRunType
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from bakehouse.schedule.cron import CronTimes
from bakehouse.schedule.image_asset import image_asset
from bakehouse.schedule.jitter import offset_of
from bakehouse.schedule.timetable import Nightly, NightlyOrParent

BERLIN = "Europe/Berlin"
BEGINNING = pendulum.datetime(2020, 1, 1)
OFFSET = timedelta(minutes=7)
TICK = timedelta(minutes=40)  # of a scheduler that is busy
HOUR = timedelta(hours=1)


def nightly(offset: timedelta = OFFSET) -> Nightly:
    made = Nightly("0 3 * * *", timezone=BERLIN, offset=offset)
    told = Nightly.deserialize(made.serialize())
    assert isinstance(told, Nightly)
    return told


def at(monkeypatch: pytest.MonkeyPatch, now: datetime) -> None:
    monkeypatch.setattr("bakehouse.schedule.timetable.time_now", lambda _: pendulum.instance(now))


def following(last: datetime | None) -> DagRunInfo:
    interval = DataInterval.exact(pendulum.instance(last)) if last else None
    info = nightly().next_dagrun_info(
        last_automated_data_interval=interval,
        restriction=TimeRestriction(BEGINNING, None, catchup=False),
    )
    assert info is not None
    return info


def test_the_offset_is_a_recipes_own_and_spreads_many() -> None:
    jitter = timedelta(minutes=15)
    offsets = [offset_of(f"recipe-{number}", jitter) for number in range(200)]
    assert offsets == [offset_of(f"recipe-{number}", jitter) for number in range(200)]
    assert all(timedelta(0) <= offset < jitter for offset in offsets)
    assert max(Counter(offset.total_seconds() for offset in offsets).values()) <= 4
    assert offset_of("recipe-1", None) == timedelta(0)


def test_the_run_starts_late_and_its_data_interval_is_the_declared_night(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at(monkeypatch, datetime(2026, 11, 23, 12, tzinfo=UTC))
    info = following(datetime(2026, 11, 23, 2, tzinfo=UTC))
    assert info.run_after == datetime(2026, 11, 24, 2, 7, tzinfo=UTC), "three in Berlin's winter"
    assert info.data_interval is not None
    assert info.data_interval.end == datetime(2026, 11, 24, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "night"),
    [
        (datetime(2026, 11, 23, 1, 59, tzinfo=UTC), 23),
        (datetime(2026, 11, 23, 2, 3, tzinfo=UTC), 23),  # due, within its offset
        (datetime(2026, 11, 23, 2, 7, 10, tzinfo=UTC), 23),  # the scheduler was busy
        (datetime(2026, 11, 23, 2, 50, tzinfo=UTC), 23),  # it was started again
        (datetime(2026, 11, 23, 3, 8, tzinfo=UTC), 24),
        (datetime(2026, 11, 23, 12, tzinfo=UTC), 24),
    ],
)
def test_a_recipe_seen_for_the_first_time_waits_for_its_night(
    monkeypatch: pytest.MonkeyPatch, now: datetime, night: int
) -> None:
    at(monkeypatch, now)
    assert following(None).run_after == datetime(2026, 11, night, 2, 7, tzinfo=UTC)


def test_of_an_outage_only_the_newest_night_is_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, datetime(2026, 11, 23, 12, tzinfo=UTC))
    assert following(datetime(2026, 11, 10, 2, tzinfo=UTC)).run_after == datetime(
        2026, 11, 23, 2, 7, tzinfo=UTC
    )


def test_summer_and_winter_are_the_time_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, datetime(2026, 10, 24, 12, tzinfo=UTC))
    assert following(datetime(2026, 10, 24, 1, tzinfo=UTC)).run_after.hour == 2
    at(monkeypatch, datetime(2026, 10, 23, 12, tzinfo=UTC))
    assert following(datetime(2026, 10, 23, 1, tzinfo=UTC)).run_after.hour == 1


def test_a_backfill_gets_every_night_of_its_range() -> None:
    nights: list[int] = []
    info = None
    restriction = TimeRestriction(
        pendulum.datetime(2026, 11, 10), pendulum.datetime(2026, 11, 13), catchup=True
    )
    while info := nightly().next_dagrun_info_v2(last_dagrun_info=info, restriction=restriction):
        assert info.logical_date is not None
        nights.append(info.logical_date.day)
    assert nights == [10, 11, 12]


def layered() -> NightlyOrParent:
    made = NightlyOrParent("0 3 * * *", timezone=BERLIN, offset=OFFSET, parent=image_asset("jre"))
    told = NightlyOrParent.deserialize(made.serialize())
    assert isinstance(told, NightlyOrParent)
    assert told.serialize() == made.serialize()
    return told


def test_a_layers_nights_are_partitions_at_the_same_moments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at(monkeypatch, datetime(2026, 11, 23, 12, tzinfo=UTC))
    restriction = TimeRestriction(BEGINNING, None, catchup=False)
    first = layered().next_dagrun_info_v2(last_dagrun_info=None, restriction=restriction)
    assert first is not None
    assert first.logical_date is None
    assert first.data_interval is None
    assert first.partition_date == datetime(2026, 11, 24, 2, tzinfo=UTC)
    assert first.run_after == datetime(2026, 11, 24, 2, 7, tzinfo=UTC)
    assert first.partition_key is not None
    assert layered().resolve_partition_date(first.partition_key) == first.partition_date
    at(monkeypatch, datetime(2026, 11, 24, 2, 8, tzinfo=UTC))
    second = layered().next_dagrun_info_v2(last_dagrun_info=first, restriction=restriction)
    assert second is not None
    assert second.partition_date == datetime(2026, 11, 25, 2, tzinfo=UTC)


def test_each_new_image_of_the_parent_is_a_run_of_its_own() -> None:
    timetable, image = layered(), "jre-20261124t0200-aaaaaaa-1234"
    (asset,) = timetable.asset_condition.iter_assets()
    assert asset[0].name == "image/jre"
    mapper = timetable.get_partition_mapper(name=asset[0].name, uri=asset[0].uri)
    assert mapper.to_downstream(image) == image
    assert timetable.resolve_partition_date(image) is None
    assert timetable.partitioned
    assert timetable.summary.endswith("and image/jre")


def test_a_backfill_of_a_layer_gets_every_night_of_its_range_and_none_of_the_future(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at(monkeypatch, datetime(2026, 11, 12, 12, tzinfo=UTC))
    found = layered().iter_partition_dagrun_infos(
        earliest=pendulum.datetime(2026, 11, 10), latest=pendulum.datetime(2026, 11, 20)
    )
    nights = [info.partition_date for info in found]
    assert nights == [datetime(2026, 11, day, 2, tzinfo=UTC) for day in (10, 11, 12)]


def runs_of(timetable: Nightly, moments: list[datetime]) -> list[datetime]:
    """The nights that a scheduler runs which is awake at these moments.

    At each of them it parses the DAG, and starts the run that is due. So does Airflow, which asks
    with the run before, or with none.
    """
    last: DagRunInfo | None = None
    nights: list[datetime] = []
    for now in moments:
        clock = mock.patch("bakehouse.schedule.timetable.time_now", return_value=at_utc(now))
        with clock:
            info = timetable.next_dagrun_info_v2(
                last_dagrun_info=last,
                restriction=TimeRestriction(BEGINNING, None, catchup=False),
            )
        assert info is not None
        if info.run_after <= now:
            last = info
            night = info.partition_date or (info.data_interval and info.data_interval.end)
            assert night is not None
            nights.append(night.astimezone(UTC))
    return nights


def at_utc(moment: datetime) -> pendulum.DateTime:
    return pendulum.instance(moment)


@pytest.mark.parametrize("layered", [False, True])
@settings(max_examples=100, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    zone=st.sampled_from(sorted(available_timezones())),
    start=st.datetimes(datetime(2021, 1, 1), datetime(2036, 12, 1)),
    clock=st.tuples(st.integers(0, 23), st.integers(0, 59)),
    jitter=st.integers(0, 3600),
    late=st.integers(0, 55),
    off=st.none() | st.tuples(st.integers(0, 6), st.integers(0, 3), st.integers(1, 1100)),
)
@example("Europe/Berlin", datetime(2026, 3, 26), (2, 30), 420, 50, None)  # skipped
@example("Europe/Berlin", datetime(2026, 10, 22), (2, 30), 420, 50, None)  # repeated
@example("Europe/Berlin", datetime(2026, 3, 26), (2, 30), 420, 0, (2, 1, 30))
@example("Australia/Lord_Howe", datetime(2026, 10, 1), (2, 15), 0, 1, None)
@example("Africa/Casablanca", datetime(2026, 2, 12), (2, 30), 900, 1, None)
@example("Asia/Beirut", datetime(2026, 3, 26), (0, 0), 0, 1, None)
@example("Africa/Cairo", datetime(2026, 4, 21), (0, 0), 900, 1, None)
@example("America/Asuncion", datetime(2023, 9, 28), (0, 0), 900, 1, None)
@example("UTC", datetime(2026, 11, 1), (3, 0), 900, 1, (0, 2, 30))  # new, and the scheduler down
@example("UTC", datetime(2026, 11, 1), (3, 0), 900, 1, (0, 2, 300))
@example("UTC", datetime(2026, 11, 1), (3, 0), 900, 1, (3, 2, 1000))
def test_every_night_is_run_once_also_when_the_recipe_is_new_or_the_scheduler_comes_back(
    layered: bool,
    zone: str,
    start: datetime,
    clock: tuple[int, int],
    jitter: int,
    late: int,
    off: tuple[int, int, int] | None,
) -> None:
    offset, cron = timedelta(seconds=jitter), f"{clock[1]} {clock[0]} * * *"
    parent = {"parent": image_asset("jre")} if layered else {}
    made = (NightlyOrParent if layered else Nightly)(cron, timezone=zone, offset=offset, **parent)
    nights = [CronTimes(cron, ZoneInfo(zone)).after(start.replace(tzinfo=UTC))]
    while len(nights) < 8:
        nights.append(CronTimes(cron, ZoneInfo(zone)).after(nights[-1]))
    due = [night + offset for night in nights]
    moments = {
        one + timedelta(minutes=late) + more for one in due for more in (-2 * HOUR, 0 * HOUR)
    }
    expected = nights
    if off:
        first, last = off[0], min(off[0] + off[1], 7)
        back = due[last] + timedelta(minutes=off[2])
        moments = {m for m in moments if not due[first] <= m < back} | {back}
        is_new = first == 0  # nobody knows since when it has been there: an hour
        made_up = nights[last : last + 1] if not is_new or off[2] <= 60 else []
        expected = [*nights[:first], *made_up, *nights[last + 1 :]]
    assert runs_of(made, sorted(moments)) == expected


def test_a_night_that_the_clock_skips_comes_when_it_changes() -> None:
    around = [datetime(2026, 3, 28, tzinfo=UTC) + number * TICK for number in range(72)]
    found = runs_of(Nightly("30 2 * * *", timezone=BERLIN), around)
    assert found == [
        datetime(2026, 3, 28, 1, 30, tzinfo=UTC),
        datetime(2026, 3, 29, 1, 0, tzinfo=UTC),  # 2:00 is 3:00
    ]


@pytest.mark.parametrize("layered", [False, True])
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (DagRunType.SCHEDULED, 23),  # an outage: the newest night is made up for
        (DagRunType.BACKFILL_JOB, 24),
    ],
)
def test_a_backfill_is_no_sign_of_missed_nights(
    monkeypatch: pytest.MonkeyPatch, layered: bool, kind: DagRunType, expected: int
) -> None:
    at(monkeypatch, datetime(2026, 11, 23, 12, tzinfo=UTC))
    info = after_run(layered, kind, datetime(2026, 11, 13, 2, tzinfo=UTC))
    assert info.run_after == datetime(2026, 11, expected, 2, 7, tzinfo=UTC)


@pytest.mark.parametrize("layered", [False, True])
@pytest.mark.parametrize("kind", [DagRunType.SCHEDULED, DagRunType.BACKFILL_JOB])
def test_a_night_that_a_backfill_has_run_is_not_due_again(
    monkeypatch: pytest.MonkeyPatch, layered: bool, kind: DagRunType
) -> None:
    """Also while it is as new as the first night of a recipe, which is made up for."""
    at(monkeypatch, datetime(2026, 11, 23, 2, 30, tzinfo=UTC))
    info = after_run(layered, kind, datetime(2026, 11, 23, 2, tzinfo=UTC))
    assert info.run_after == datetime(2026, 11, 24, 2, 7, tzinfo=UTC)


@pytest.mark.parametrize("layered", [False, True])
def test_the_night_that_is_due_comes_also_after_a_backfill_of_older_ones(
    monkeypatch: pytest.MonkeyPatch, layered: bool
) -> None:
    at(monkeypatch, datetime(2026, 11, 23, 2, 30, tzinfo=UTC))
    kind, night = DagRunType.BACKFILL_JOB, datetime(2026, 11, 13, 2, tzinfo=UTC)
    assert after_run(layered, kind, night).run_after == datetime(2026, 11, 23, 2, 7, tzinfo=UTC)


def after_run(layered_too: bool, kind: DagRunType, night: datetime) -> DagRunInfo:
    """What follows a run of that night, as Airflow asks."""
    timetable = layered() if layered_too else nightly()
    key = night.isoformat() if layered_too else None
    run = mock.Mock(
        run_type=kind.value,
        run_after=night + OFFSET,
        data_interval_start=None if layered_too else night,
        data_interval_end=None if layered_too else night,
        partition_key=key,
        partition_date=night if layered_too else None,
    )
    info = timetable.next_dagrun_info_v2(
        last_dagrun_info=timetable.run_info_from_dag_run(dag_run=run),
        restriction=TimeRestriction(BEGINNING, None, catchup=False),
    )
    assert info is not None
    return info
