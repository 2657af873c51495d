"""The ledger writes each event once, and reads all that can be read."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]

from bakehouse.history.events import LedgerEvent, parse_event
from bakehouse.history.ledger import Ledger, UnreadableRecord

if TYPE_CHECKING:
    from pathlib import Path

WHEN = datetime(2026, 11, 23, 4, 0, 0, 5, tzinfo=timezone(timedelta(hours=1)))


def event(**fields: Any) -> LedgerEvent:
    facts = {
        "schema": 2,
        "kind": "promotion",
        "time": WHEN.isoformat(),
        "dag_id": "bake__web",
        "run_id": "manual__1",
        "task_id": "promote_image",
        "recipe": "web",
        "image": "web-1",
        "git_sha": "a" * 40,
        "reason": "promoted",
        "detail": {"family": "web", "image_id": "1"},
    }
    return parse_event(json.dumps({**facts, **fields}))


def told(family: str) -> dict[str, str]:
    return {"family": family, "image_id": "1"}


@pytest.fixture(params=["file", "memory"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Ledger:
    if request.param == "file":
        return Ledger(f"file://{tmp_path}/ledger")
    attach("memory", fs=MemoryFileSystem(skip_instance_cache=True))
    return Ledger(f"memory://{tmp_path}/ledger")


def test_one_object_for_each_event(ledger: Ledger) -> None:
    written = ledger.write(event())
    assert "/ledger/events/2026/11/23/20261123T030000.000005Z-promotion-" in written
    assert list(ledger.events()) == [event()]


def test_a_retry_writes_the_same_object_and_what_was_said_first_stands(ledger: Ledger) -> None:
    first = ledger.write(event(detail=told("first"), at=WHEN.isoformat()))
    assert ledger.write(event(detail=told("second"), task_id="other")) == first
    assert list(ledger.events()) == [event(detail=told("first"), at=WHEN.isoformat())]


def test_events_come_oldest_first(ledger: Ledger) -> None:
    for hours in (5, 1, 3):
        moment = WHEN + timedelta(hours=hours)
        ledger.write(event(time=moment.isoformat(), run_id=str(hours)))
    assert [read.run_id for read in ledger.events()] == ["1", "3", "5"]


def test_events_come_in_the_order_in_which_they_happened(ledger: Ledger) -> None:
    """All events of a run have its time, and a backfill's run has the time of its date."""
    moments = [(WHEN + timedelta(minutes=minutes)).isoformat() for minutes in (3, 1, 2)]
    long_ago = (WHEN - timedelta(days=90)).isoformat()
    ledger.write(event(image="third", at=moments[0]))
    ledger.write(event(image="first", at=moments[1]))
    ledger.write(event(image="second", at=moments[2], time=long_ago, run_id="backfill__1"))
    ledger.write(event(image="before", time=long_ago))
    assert [one.image for one in ledger.events()] == ["before", "first", "second", "third"]


def test_an_empty_ledger(ledger: Ledger) -> None:
    assert list(ledger.events()) == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "is not JSON"),
        ("\xff", "is not JSON"),
        ("[" * 10**5, "is not JSON"),
        ("[]", "is not a JSON object"),
        ("{}", "its kind is missing"),
        (json.dumps({"schema": 2, "kind": "colour"}), "its kind 'colour' is not known"),
        (json.dumps({"schema": 3, "kind": "bake"}), "it has schema 3; this version"),
        (event().to_json().replace('"2026-', '"noon '), "time is not a time"),
        (event().to_json().replace('"family"', '"colour"'), "detail.family is missing"),
    ],
)
def test_a_record_that_cannot_be_read_is_reported_and_the_others_are_read(
    ledger: Ledger, content: str, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = ledger.write(event(run_id="garbled"))
    ledger.write(event(run_id="whole"))
    ObjectStoragePath(url).write_bytes(content.encode("latin-1"))
    unreadable: list[UnreadableRecord] = []
    assert [read.run_id for read in ledger.events(unreadable.append)] == ["whole"]
    (record,) = unreadable
    assert record.path == url
    assert problem in record.problem
    assert "\n" not in str(record)
    assert [read.run_id for read in ledger.events()] == ["whole"]
    assert str(record) in caplog.text


def test_a_half_written_event_is_never_seen(tmp_path: Path) -> None:
    ledger = Ledger(f"file://{tmp_path}")
    ledger.write(event())
    (day,) = tmp_path.glob("events/*/*/*")
    assert [path.suffix for path in day.iterdir()] == [".json"]
