"""Members on the new image are compared with those not replaced yet, by more than chance."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.rollout.compare import FEWEST, Better, Record, add, chance, counts, worse
from bakehouse.rollout.health import Health, Sighting, parse, see

NOW = datetime(2026, 11, 27, 3, tzinfo=UTC)
NUMBERS: dict[str, Better] = {"p99_ms": "lower", "hits": "higher"}


def record(boot: float | None = None, restarts: int = 0, **samples: list[float]) -> Record:
    values = {name: tuple(each) for name, each in samples.items()}
    return Record(samples=values, boot_seconds=boot, restarts=restarts)


def around(middle: float, seed: int, count: int = 20) -> list[float]:
    chosen = random.Random(seed)
    return [middle * chosen.uniform(0.8, 1.25) for _ in range(count)]


def test_a_boot_that_takes_twice_as_long_as_the_slowest_other_fails_its_member() -> None:
    others = {"web-2": record(30.0), "web-3": record(22.0)}
    found = worse({"web-1": record(61.0), "web-4": record(59.0)}, others, {})
    assert found == {"web-1": "its boot took 61 s, that of members not replaced 30 s at most"}


def test_a_boot_of_a_few_seconds_more_fails_nobody() -> None:
    assert worse({"web-1": record(9.0)}, {"web-2": record(2.0)}, {}) == {}


def test_a_number_that_is_clearly_worse_fails_its_member_and_no_other() -> None:
    others = {"web-3": record(p99_ms=around(10, 1)), "web-4": record(p99_ms=around(10, 2))}
    done = {"web-1": record(p99_ms=around(20, 3)), "web-2": record(p99_ms=around(10.5, 4))}
    found = worse(done, others, NUMBERS)
    assert list(found) == ["web-1"]
    assert "in the median of 20 reports, that of members not replaced" in found["web-1"]


def test_which_values_are_better_is_what_the_fleet_says() -> None:
    others = {"web-2": record(hits=around(100, 1), p99_ms=around(20, 1))}
    fewer = {"web-1": record(hits=around(50, 2), p99_ms=around(10, 2))}
    assert "hits is " in worse(fewer, others, NUMBERS)["web-1"]
    more = {"web-1": record(hits=around(200, 2), p99_ms=around(20, 2))}
    assert worse(more, others, NUMBERS) == {}


def test_a_number_that_the_fleet_does_not_name_is_not_judged() -> None:
    others = {"web-2": record(p99_ms=around(10, 1))}
    assert worse({"web-1": record(p99_ms=around(90, 2))}, others, {}) == {}


def test_a_load_that_all_members_feel_is_nobodys_failure() -> None:
    """What a threshold would take for a bad image: the hour is bad, for old and new alike."""
    others = {"web-2": record(p99_ms=around(900, 1)), "web-3": record(p99_ms=around(950, 2))}
    assert worse({"web-1": record(p99_ms=around(920, 3))}, others, NUMBERS) == {}


def test_a_few_reports_prove_nothing() -> None:
    others = {"web-2": record(p99_ms=around(10, 1))}
    few = {"web-1": record(p99_ms=around(90, 2, count=FEWEST - 1))}
    assert worse(few, others, NUMBERS) == {}
    assert worse({"web-1": record(p99_ms=around(90, 2, count=FEWEST))}, others, NUMBERS)


def test_one_outlier_proves_nothing() -> None:
    others = {"web-2": record(p99_ms=around(10, 1))}
    assert worse({"web-1": record(p99_ms=[*around(10, 2), 9000.0])}, others, NUMBERS) == {}


def test_restarts_of_many_new_members_and_no_other_fail_those_that_had_them() -> None:
    others = {f"old-{n}": record() for n in range(10)}
    done = {f"new-{n}": record(restarts=1) for n in range(3)}
    found = worse(done, others, {})
    assert set(found) == set(done)
    assert "3 of 3 new members, and on 0 of 10 others" in found["new-0"]
    assert worse({"new-0": record(restarts=1)}, others, {}) == {}, "one may be chance"
    everywhere = {name: record(restarts=1) for name in others}
    assert worse(done, everywhere, {}) == {}, "the others have them too"


def test_without_others_there_is_nothing_to_compare_with() -> None:
    bad = record(999.0, restarts=1, p99_ms=around(9000, 1))
    assert worse({"web-1": bad, "web-2": bad}, {}, NUMBERS) == {}


@given(st.lists(st.floats(0, 1e6), min_size=FEWEST, max_size=60), st.randoms())
def test_the_order_of_reports_does_not_matter(values: list[float], chosen: random.Random) -> None:
    own, usual = values[: len(values) // 2], values[len(values) // 2 :]
    assert 0 <= chance(own, usual) <= 1
    assert chance(own, own) >= 0.4
    chosen.shuffle(own)
    assert chance(own, usual) == pytest.approx(chance(sorted(own), usual))


def test_the_probability_is_that_of_the_rank_test() -> None:
    # by hand: U is 14 of a mean of 8, the spread with two ties 3.4226, so z is 1.607
    assert chance([3, 4, 5, 6], [1, 2, 3, 4]) == pytest.approx(0.0540, abs=0.0002)
    assert chance([1, 1, 1], [1, 1, 1]) == pytest.approx(1.0)


def seen(*reports: Health | None) -> Record | None:
    record_, sighting = None, None
    for number, health in enumerate(reports):
        before: Sighting | None = sighting
        sighting = see(sighting, health, NOW + timedelta(seconds=number))
        is_new = before is None or before.health is not sighting.health
        record_ = add(record_, sighting, is_new=is_new)
    return record_


def report(uptime: float, p99: float, restarts: int = 0) -> Health:
    return Health(
        state="healthy",
        image="web-2",
        boot_id="b",
        uptime=uptime,
        boot_seconds=12.0,
        restarts=restarts,
        numbers={"p99_ms": p99},
    )


def test_each_report_counts_once_however_often_it_is_read() -> None:
    first, second = report(1, 10), report(2, 30, restarts=1)
    found = seen(first, first, None, second, second)
    assert found == Record({"p99_ms": (10.0, 30.0)}, boot_seconds=12.0, restarts=1)


def test_only_healthy_members_are_a_measure() -> None:
    assert counts(report(1, 10))
    assert not counts(Health(state="unhealthy", image="i", boot_id="b"))
    assert not counts(None)


@pytest.mark.parametrize(
    ("more", "numbers"),
    [
        ({"numbers": {"p99_ms": 12.5, "hits": 3}}, {"p99_ms": 12.5, "hits": 3.0}),
        ({"detail": "fine\nnumber p99_ms 12.5\nnumber lag -3\n"}, {"p99_ms": 12.5, "lag": -3.0}),
        ({"detail": "number p99_ms 1\nnumber p99_ms 2"}, {"p99_ms": 2.0}),
        ({"detail": "a number p99_ms 1\nnumber P99 1\nnumber x\nnumber y 1e9\nnumber z nan"}, {}),
        ({"numbers": {"a b": 1, "ok": True, "inf": float("inf"), "text": "1"}}, {}),
        ({"numbers": [1]}, {}),
        ({"detail": {"number": 1}}, {}),
        ({}, {}),
    ],
)
def test_numbers_of_a_report_are_read_and_what_is_none_is_left_out(
    more: dict[str, object], numbers: dict[str, float]
) -> None:
    text = json.dumps({"state": "healthy", "image": "i", "boot_id": "b", **more})
    found = parse(text)
    assert found is not None
    assert found.numbers == numbers


def test_a_report_has_twenty_numbers_at_most() -> None:
    detail = "".join(f"number n{i} {i}\n" for i in range(50))
    found = parse(json.dumps({"state": "healthy", "image": "i", "boot_id": "b", "detail": detail}))
    assert found is not None
    assert len(found.numbers) == 20
