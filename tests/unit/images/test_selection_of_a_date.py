"""Which image a date of the past gets: the newest then, of whatever still exists."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bakehouse.core.reasons import Reason
from bakehouse.images.selection import newest_of_recipe, newest_then

THEN = datetime(2026, 11, 15, 3, tzinfo=UTC)


def image(name: str, day: int, state: str = "", **more: Any) -> dict[str, Any]:
    labels = {"bakehouse-state": state, "bakehouse-recipe": "jre"} if state else {}
    created = f"2026-11-{day:02d}T01:00:00.000-07:00"
    return {"name": name, "creationTimestamp": created, "labels": labels, **more}


def test_the_newest_of_that_time() -> None:
    chosen = newest_then([image("a", 1), image("c", 20), image("b", 14)], THEN)
    assert chosen is not None
    assert (chosen.image["name"], chosen.reason) == ("b", Reason.BASE_OF_THAT_DATE)


def test_one_that_was_deprecated_since_was_the_newest_then() -> None:
    old = image("b", 14, deprecated={"state": "DEPRECATED"})
    chosen = newest_then([image("c", 20), old], THEN)
    assert chosen is not None
    assert chosen.image["name"] == "b"


def test_with_none_left_of_that_time_it_is_the_oldest_and_says_so() -> None:
    chosen = newest_then([image("d", 21), image("c", 20)], THEN)
    assert chosen is not None
    assert (chosen.image["name"], chosen.reason) == ("c", Reason.BASE_OF_THAT_DATE_GONE)


def test_what_is_not_ready_is_nothing() -> None:
    assert newest_then([image("a", 1, status="PENDING")], THEN) is None


def test_a_parents_image_counts_by_the_date_it_stands_for() -> None:
    rebuilt = image("jre-20261110t0300-abcdef0-1234", 22, "history")
    tonight = image("jre-20261122t0300-abcdef0-1234", 22, "promoted")
    failed = image("jre-20261112t0300-abcdef0-1234", 12, "failed")
    chosen = newest_of_recipe([rebuilt, tonight, failed], "jre", THEN)
    assert chosen is not None
    assert chosen.image is rebuilt
    newest = newest_of_recipe([rebuilt, tonight, failed], "jre", None)
    assert newest is not None
    assert newest.image is tonight, "the history is nobody's base but the history's"


@given(st.lists(st.integers(1, 28), min_size=1), st.integers(1, 28))
def test_never_one_of_a_later_time_while_an_earlier_one_stands(days: list[int], then: int) -> None:
    moment = datetime(2026, 11, then, 12, tzinfo=UTC)
    chosen = newest_then([image(f"i{day}", day) for day in days], moment)
    assert chosen is not None
    day = int(chosen.image["name"][1:])
    earlier = [d for d in days if d <= then]
    assert day == (max(earlier) if earlier else min(days))
