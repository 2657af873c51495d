"""When a recipe is baked: its night in its time zone, its offset, and what is not made up for."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pendulum
import pytest
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction

from bakehouse.schedule.image_asset import image_asset
from bakehouse.schedule.jitter import offset_of
from bakehouse.schedule.timetable import Nightly, NightlyOrParent

BERLIN = "Europe/Berlin"
BEGINNING = pendulum.datetime(2020, 1, 1)
OFFSET = timedelta(minutes=7)


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
