"""Compaction loses nothing, whenever it is killed, and readers see every event at any moment."""

from __future__ import annotations

import gzip
import logging
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.events import bake, ended, image, replaced

from bakehouse.history import compaction, ledger, objects
from bakehouse.history.bake_events import BakeEvent
from bakehouse.history.compaction import compact
from bakehouse.history.ledger import Ledger, UnreadableRecord
from bakehouse.history.rollout_events import MemberReplacedEvent, RolloutEndedEvent

if TYPE_CHECKING:
    from pathlib import Path

    from bakehouse.history.event import Event
    from bakehouse.history.events import LedgerEvent

TODAY = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
OLD, NEW = image(1), image(2)
NUMBERS = Counter[str]()


class Killed(BaseException):
    """The process was killed here."""


class Store:
    """A ledger in memory whose writer or compaction is killed at one of its writes."""

    def __init__(self, environment: pytest.MonkeyPatch) -> None:
        NUMBERS["store"] += 1
        attach("memory", fs=MemoryFileSystem(skip_instance_cache=True))
        self.url = f"memory:///ledger{NUMBERS['store']}"
        self.now = TODAY
        self.left: float = float("inf")  # writes until the kill
        self.after = False  # the write that is killed has had its effect
        for module, name in ((ledger, "create"), (compaction, "create"), (compaction, "remove")):
            environment.setattr(module, name, self._killed(getattr(objects, name)))

    def _killed(self, call: Any) -> Any:
        def call_or_die(*arguments: Any) -> None:
            self.left -= 1
            if self.left < 0 and not self.after:
                raise Killed
            call(*arguments)
            if self.left < 0:
                raise Killed

        return call_or_die

    def event(self, days_ago: int, number: int) -> LedgerEvent:
        hours = (self.now - TODAY) / timedelta(hours=1) - 24 * days_ago
        return replaced(NEW, f"web-{number}", OLD, hours, f"manual__{number}")

    def compact(self) -> Any:
        return compact(self.url, self.now)

    def names(self) -> set[str]:
        """What a reader sees that has read nothing before."""
        return {event.subject for event in Ledger(self.url).events()}


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    return Store(monkeypatch)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


kills = st.tuples(st.integers(0, 8) | st.just(99), st.booleans())
steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 40), kills),
        st.tuples(st.just("compact"), st.just(0), kills),
        st.tuples(st.just("days"), st.integers(1, 9), st.just((99, False))),
    ),
    max_size=12,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps)
def test_nothing_that_was_written_is_ever_missing(
    monkeypatch: pytest.MonkeyPatch, taken: list[tuple[str, int, tuple[int, bool]]]
) -> None:
    with monkeypatch.context() as environment:
        store = Store(environment)
        reader = Ledger(store.url)  # one that lives all the time
        written: set[str] = set()
        begun: set[str] = set()
        for number, (what, days, (left, after)) in enumerate(taken):
            store.left, store.after = left, after
            with suppress(Killed):
                if what == "days":
                    store.now += timedelta(days=days)
                elif what == "compact":
                    store.compact()
                else:
                    event = store.event(days, number)
                    begun.add(event.subject)
                    Ledger(store.url, lambda: store.now).write(event)
                    written.add(event.subject)
            store.left = float("inf")
            for seen in (store.names(), {event.subject for event in reader.events()}):
                assert written <= seen <= begun
        store.now += timedelta(days=9)
        store.compact()
        done = store.compact()
        assert (done.records, done.added, done.removed) == ({}, 0, 0), "nothing is left to do"
        assert begun - store.names() <= begun - written
        assert not store_files(store, "late")


def store_files(store: Store, folder: str) -> list[str]:
    place = ObjectStoragePath(store.url) / folder
    place.fs.invalidate_cache()
    return [str(path) for path in place.fs.find(place.path)] if place.exists() else []


def test_records_stay_and_a_month_has_one_segment(store: Store) -> None:
    for number in range(6):
        Ledger(store.url, lambda: TODAY).write(store.event(7 * number, number))
    done = store.compact()
    assert done.records == {"2026-10": 2, "2026-11": 3}, "the newest day is open"
    assert len(store_files(store, "segments")) == 2
    assert len(store_files(store, "events")) == 6
    assert store.names() == {f"web-{number}" for number in range(6)}


def test_closed_days_are_not_listed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        Ledger(store.url, lambda: TODAY).write(store.event(10 * number, number))
    store.compact()
    listed: list[str] = []
    real = MemoryFileSystem.find

    def find(self: Any, path: str, *arguments: Any, **more: Any) -> Any:
        listed.append(path.partition("/events/")[2])
        return real(self, path, *arguments, **more)

    monkeypatch.setattr(MemoryFileSystem, "find", find)
    assert len(store.names()) == 4
    assert set(listed) - {""} == {"2026/11/25"}


def test_two_compactions_at_once_lose_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        Ledger(store.url, lambda: TODAY).write(store.event(7 + number, number))
    store.compact()
    late = store.event(8, 7)
    real = objects.create

    def create(*arguments: Any) -> None:
        monkeypatch.setattr(compaction, "create", real)
        Ledger(store.url, lambda: TODAY).write(late)  # seen by the second one only
        store.compact()
        real(*arguments)

    Ledger(store.url, lambda: TODAY).write(store.event(9, 6))
    monkeypatch.setattr(compaction, "create", create)
    store.compact()
    assert len(store_files(store, "segments")) == 2
    assert store.names() == {"web-0", "web-1", "web-2", "web-6", "web-7"}
    store.compact()
    assert len(store_files(store, "segments")) == 1
    assert store.names() == {"web-0", "web-1", "web-2", "web-6", "web-7"}


def test_a_reader_that_listed_what_a_compaction_removes_reads_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Ledger(store.url, lambda: TODAY).write
    write(store.event(9, 1))
    store.compact()
    write(store.event(9, 2))
    real, reader = ObjectStoragePath.read_bytes, Ledger(store.url)

    def read_bytes(path: ObjectStoragePath) -> bytes:
        monkeypatch.setattr(ObjectStoragePath, "read_bytes", real)
        store.compact()
        return bytes(real(path))

    monkeypatch.setattr(ObjectStoragePath, "read_bytes", read_bytes)
    assert {event.subject for event in reader.events()} == {"web-1", "web-2"}


def test_a_retry_after_the_compaction_changes_nothing(store: Store) -> None:
    event = store.event(9, 1)
    first = Ledger(store.url, lambda: TODAY)
    first.write(event)
    store.compact()
    first.write(event.model_copy(update={"task_id": "other"}))
    store.compact()
    assert [read.task_id for read in Ledger(store.url).events()] == ["t"]


@pytest.mark.parametrize("damage", [b"", b"x", gzip.compress(b"other 1\tx\t0", mtime=0)])
def test_a_damaged_segment_is_told_and_its_days_are_listed(
    store: Store, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    Ledger(store.url, lambda: TODAY).write(store.event(9, 1))
    store.compact()
    (segment,) = store_files(store, "segments")
    ObjectStoragePath(f"memory://{segment}").write_bytes(damage)
    with caplog.at_level(logging.WARNING):
        assert store.names() == {"web-1"}
    assert "is passed over, its days are listed" in caplog.text
    assert store.compact().records == {"2026-11": 1}
    assert store.names() == {"web-1"}


def test_a_segment_cut_short_is_damaged_too(store: Store) -> None:
    Ledger(store.url, lambda: TODAY).write(store.event(9, 1))
    store.compact()
    (segment,) = store_files(store, "segments")
    place = ObjectStoragePath(f"memory://{segment}")
    place.write_bytes(place.read_bytes()[:-9])
    assert store.names() == {"web-1"}


@pytest.mark.parametrize("data", [b"{", b"\xff\t\n", b'{"schema": 99, "kind": "bake"}'])
def test_what_cannot_be_read_is_kept_and_told_again_and_again(store: Store, data: bytes) -> None:
    url = Ledger(store.url, lambda: TODAY).write(store.event(9, 1))
    ObjectStoragePath(url).write_bytes(data)
    for path in store_files(store, "late"):
        ObjectStoragePath(f"memory://{path}").unlink()
    store.compact()
    told: list[UnreadableRecord] = []
    assert Ledger(store.url).events(told.append, kinds=[BakeEvent]) == []
    assert [record.path for record in told] == [url]
    ObjectStoragePath(url).write_bytes(store.event(9, 1).to_json().encode())
    assert store.compact().records == {"2026-11": 1}, "a person has mended it"
    assert store.names() == {"web-1"}


def test_a_record_that_somebody_has_formatted_is_read_all_the_same(store: Store) -> None:
    event = store.event(9, 1)
    url = Ledger(store.url, lambda: TODAY).write(event)
    ObjectStoragePath(url).write_bytes(event.to_json().replace(", ", ",\n\t").encode())
    store.compact()
    assert Ledger(store.url).events() == [event]


@pytest.fixture
def mixed(files: Path) -> Ledger:
    url = f"file://{files}"
    for event in (
        bake(OLD, -24 * 40),
        bake(image(1, "jre"), -24 * 9),
        replaced(NEW, "web-1", OLD, -24 * 8),
        ended(NEW, -24 * 8 + 1),
        bake(NEW, 0),
    ):
        Ledger(url, lambda: TODAY).write(event)
    compact(url, TODAY)
    return Ledger(url)


def test_events_are_selected_by_kind_recipe_fleet_and_image(mixed: Ledger) -> None:
    assert [e.image for e in mixed.events(kinds=[BakeEvent])] == [OLD, image(1, "jre"), NEW]
    assert [e.kind for e in mixed.events(fleet="web")] == ["member_replaced", "rollout_ended"]
    assert [e.image for e in mixed.events(recipe="jre")] == [image(1, "jre")]
    assert [e.kind for e in mixed.events(image=OLD)] == ["bake"]
    assert mixed.events(kinds=[BakeEvent], fleet="web") == []
    kinds: list[type[Event]] = [MemberReplacedEvent, RolloutEndedEvent]
    assert len(mixed.events(kinds=kinds, recipe="web")) == 2


def test_the_newest_of_a_kind_are_found_across_segments(mixed: Ledger) -> None:
    year = timedelta(days=365)
    assert [e.image for e in mixed.recent(BakeEvent, TODAY - year, TODAY)][-1] == NEW
    assert [e.image for e in mixed.recent(BakeEvent, TODAY - year, TODAY, 2)] == [
        image(1, "jre"),
        NEW,
    ]
    week = timedelta(days=7)
    assert [e.image for e in mixed.recent(BakeEvent, TODAY - week, TODAY)] == [NEW]
    assert mixed.recent(BakeEvent, TODAY - year, TODAY - 300 * timedelta(days=1)) == []


def test_other_files_in_the_ledger_are_not_its_records(files: Path) -> None:
    url = f"file://{files}"
    Ledger(url, lambda: TODAY).write(bake(OLD, -24 * 9))
    for name in ("events/2026/11/16/.half.json", "events/2026/11/x.json", "events/readme.txt"):
        (files / name).write_text("{")
    (files / "segments/2026-11").mkdir(parents=True)
    (files / "segments/2026-11/20261131-x.gz").write_text("no such day")
    (files / "segments/2026-11/.half.gz").write_text("being written")
    told: list[UnreadableRecord] = []
    for _ in range(2):
        assert len(Ledger(url).events(told.append)) == 1
        compact(url, TODAY)
    assert told == []
