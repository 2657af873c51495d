"""When the data of a fleet may get their newest formats: not before everybody has soaked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bakehouse.images.formats import FormatRange
from bakehouse.rollout.finalising import MemberNow, finalisation, obstacles, unsaid

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SOAK = timedelta(hours=1)


def member(name: str, **changes: Any) -> MemberNow:
    fields: dict[str, Any] = {
        "name": name,
        "zone": "z",
        "status": "RUNNING",
        "image": "kafka-new",
        "image_id": "200",
        "started": NOW - timedelta(hours=2),
    }
    return MemberNow(**{**fields, **changes})


def against(*members: MemberNow, missing: tuple[str, ...] = ()) -> list[str]:
    return obstacles(members, missing, SOAK, NOW)


def test_a_fleet_that_has_soaked_on_one_image_may_be_finalised() -> None:
    assert against(member("k-1"), member("k-2"), member("k-3", started=NOW - SOAK)) == []


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"status": "TERMINATED"}, "k-2 is TERMINATED"),
        (
            {"image": "kafka-old", "image_id": "100"},
            "members run different images (k-1 runs kafka-new, k-2 runs kafka-old): roll one image"
            " out first",
        ),
        (
            {"image_id": "201"},
            "members run different images (k-1 runs kafka-new, k-2 runs kafka-new): roll one image"
            " out first",
        ),
        ({"ill": "no health report"}, "k-2 is not healthy: no health report"),
        ({"started": None}, "k-2 does not say since when it runs"),
        (
            {"started": NOW - timedelta(minutes=59)},
            "k-2 runs since 2026-11-23 11:01 UTC, and soaks until 2026-11-23 12:01 UTC",
        ),
    ],
)
def test_what_speaks_against_it_is_named(changes: dict[str, Any], why: str) -> None:
    (found,) = against(member("k-1"), member("k-2", **changes))
    assert found.replace(":00 UTC", " UTC") == why


def test_everything_that_speaks_against_it_is_said_at_once() -> None:
    found = against(member("k-1", status="STOPPING"), member("k-2", ill="slow"), missing=("k-3",))
    assert found == ["k-3 does not exist", "k-1 is STOPPING", "k-2 is not healthy: slow"]
    assert against() == ["the fleet has no members"]
    nothing = {"image": "", "image_id": ""}
    assert against(member("k-1", **nothing)) == ["the members' boot disks are of no image"]


def test_each_member_must_say_what_its_data_have() -> None:
    said = {"k-1": {"metadata.version": 30}, "k-2": dict[str, int]()}
    assert unsaid(said, {"k-3": "no answer"}) == [
        "k-3 does not say what its data have: no answer",
        "k-2 names no format of its data",
    ]
    assert unsaid({"k-1": {"metadata.version": 30}}, {}) == []


def test_what_is_finalised_are_the_newest_versions_of_the_image() -> None:
    reads = (FormatRange("group.version", 0, 1), FormatRange("metadata.version", 7, 33))
    said = {"k-1": {"metadata.version": 30, "group.version": 0}, "k-2": {"metadata.version": 30}}
    found = finalisation("kafka", member("k-1"), said, reads)
    assert found.formats == {"metadata.version": (30, 33), "group.version": (0, 1)}
    assert found.in_words() == "group.version 0 to 1, metadata.version 30 to 33"
    assert (found.image_id, found.has) == ("200", {"metadata.version": 30, "group.version": 0})
    assert (
        finalisation("kafka", member("k-1"), {"k-1": {"metadata.version": 33}}, reads).formats == {}
    )
