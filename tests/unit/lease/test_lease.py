"""The lease of a fleet: one holder, whoever asks at once, and when it passes on."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped]
import pytest
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.lease.lease import KEPT, Claim, Lease, Owner, Record, UnsafeStore, acquire, decide

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
BAKE = Owner(dag_id="bake__web", run_id="scheduled__1")
ROLL = Owner(dag_id="roll_out__web", run_id="manual__2")


def lease(folder: Path) -> Lease:
    return Lease(LocalFileSystem(), str(folder))


def running(_: Owner) -> str | None:
    return "running"


def take(folder: Path, owner: Owner, at: datetime = NOW, state: Any = running) -> Claim:
    return acquire(lease(folder), owner, at, HOUR, state).claim


def test_one_holds_the_other_waits_until_it_is_released(tmp_path: Path) -> None:
    assert take(tmp_path, BAKE) is Claim.TAKE
    assert take(tmp_path, ROLL) is Claim.WAIT
    assert lease(tmp_path).release(BAKE, NOW)
    assert take(tmp_path, ROLL) is Claim.TAKE
    assert (lease(tmp_path).held_by(ROLL), lease(tmp_path).held_by(BAKE)) == (True, False)


def test_asking_again_renews(tmp_path: Path) -> None:
    take(tmp_path, BAKE)
    assert take(tmp_path, BAKE, NOW + HOUR) is Claim.RENEW
    newest = lease(tmp_path).newest()
    assert newest is not None
    assert (newest.expires, newest.since) == (NOW + 2 * HOUR, NOW)


def test_only_the_owner_releases_and_once_is_enough(tmp_path: Path) -> None:
    assert not lease(tmp_path).release(BAKE, NOW)
    take(tmp_path, BAKE)
    assert not lease(tmp_path).release(ROLL, NOW)
    assert lease(tmp_path).held_by(BAKE)
    assert lease(tmp_path).release(BAKE, NOW)
    assert not lease(tmp_path).release(BAKE, NOW)


@pytest.mark.parametrize("state", ["success", "failed"])
def test_an_owner_that_has_ended_loses_it(tmp_path: Path, state: str) -> None:
    take(tmp_path, BAKE)
    assert take(tmp_path, ROLL, state=lambda _: state) is Claim.TAKE
    assert not lease(tmp_path).release(BAKE, NOW)
    assert lease(tmp_path).held_by(ROLL)


@pytest.mark.parametrize(
    ("state", "after", "expected"),
    [
        ("running", 100 * HOUR, Claim.WAIT),  # it may be waiting for a person, over a weekend
        ("queued", 100 * HOUR, Claim.WAIT),
        (None, HOUR / 2, Claim.WAIT),
        (None, HOUR, Claim.TAKE),
        ("failed", timedelta(0), Claim.TAKE),
    ],
)
def test_time_alone_takes_it_from_nobody_that_lives(
    state: str | None, after: timedelta, expected: Claim
) -> None:
    held = Record(generation=3, owner=BAKE, since=NOW, expires=NOW + HOUR, token="t")
    assert decide(held, ROLL, state, NOW + after).claim is expected
    assert decide(held, BAKE, state, NOW + after).claim is Claim.RENEW


def test_who_waits_is_told_for_whom(tmp_path: Path) -> None:
    take(tmp_path, BAKE)
    decision = acquire(lease(tmp_path), ROLL, NOW, HOUR, running)
    assert "bake__web scheduled__1 (running) holds it since 2026-11-23 09:00:00" in decision.why


def test_old_generations_are_trimmed_and_the_newest_stands(tmp_path: Path) -> None:
    for turn in range(30):
        take(tmp_path, BAKE, NOW + turn * HOUR)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert (len(names), names[-1]) == (KEPT, "00000030.json")


def test_who_comes_late_to_a_trimmed_generation_does_not_hold(tmp_path: Path) -> None:
    take(tmp_path, BAKE)
    stale = lease(tmp_path).newest()
    for turn in range(KEPT + 3):
        take(tmp_path, BAKE, NOW + turn * HOUR)
    assert not lease(tmp_path).take(ROLL, stale, NOW, HOUR)
    assert lease(tmp_path).held_by(BAKE)


def test_an_answer_that_got_lost_is_no_loss(tmp_path: Path) -> None:
    """A store's client repeats a creation whose answer was lost, and hears that it exists."""

    class Repeating(LocalFileSystem):  # type: ignore[misc]
        protocol = ("gs",)

        def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kw: Any) -> None:  # ruff: ignore[unused-method-argument]  as in the class that it replaces
            assert mode == "create"
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_bytes(value)
            raise FileExistsError(path)

    import bakehouse.lease.lease as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LocalFileSystem", MemoryFileSystem)
        assert Lease(Repeating(), str(tmp_path)).take(BAKE, None, NOW, HOUR)


def test_a_store_that_cannot_create_exclusively_is_refused() -> None:
    with pytest.raises(UnsafeStore, match="bakehouse_ledger"):
        Lease(fsspec.filesystem("memory"), "/leases/web")


def test_a_record_that_is_none_is_an_error_not_a_free_lease(tmp_path: Path) -> None:
    (tmp_path / "00000001.json").write_text("{}")
    with pytest.raises(ValueError, match="not a lease's record"):
        lease(tmp_path).newest()


@given(st.lists(st.tuples(st.sampled_from([BAKE, ROLL]), st.booleans()), max_size=30))
def test_whatever_happens_one_owner_holds_at_the_most(
    tmp_path_factory: pytest.TempPathFactory, turns: list[tuple[Owner, bool]]
) -> None:
    folder = tmp_path_factory.mktemp("lease")
    holder: Owner | None = None
    for owner, asks in turns:
        if asks:
            claim = take(folder, owner)
            assert (claim is Claim.WAIT) == (holder not in {None, owner})
            holder = owner if claim is not Claim.WAIT else holder
        else:
            assert lease(folder).release(owner, NOW) == (holder == owner)
            holder = None if holder == owner else holder
        assert [lease(folder).held_by(o) for o in (BAKE, ROLL)] == [holder == BAKE, holder == ROLL]


ROUNDS = 1000


def race(folder: str, me: int, line: Any, won: Any) -> None:
    owner = Owner(dag_id=f"racer_{me}", run_id="run")
    for turn in range(ROUNDS):
        line.wait()
        if take(Path(folder) / f"{turn:04d}", owner) is not Claim.WAIT:
            won.put((turn, me))
    won.put(None)


def test_two_processes_race_a_thousand_times_and_exactly_one_holds(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("fork")
    line, won = spawn.Barrier(2), spawn.Queue()
    racers = [spawn.Process(target=race, args=(str(tmp_path), me, line, won)) for me in (1, 2)]
    for racer in racers:
        racer.start()
    winners, ended = Counter[int](), 0
    while ended < 2:
        said = won.get(timeout=250)
        ended, winners = (
            (ended + 1, winners) if said is None else (ended, winners + Counter([said[0]]))
        )
    for racer in racers:
        racer.join(timeout=250)
    assert winners == Counter(dict.fromkeys(range(ROUNDS), 1))


def pass_on(folder: str, me: int, rounds: int, failures: Any) -> None:
    """Take, go alone through a door that only one may pass, release; again and again."""
    owner, door = Owner(dag_id=f"racer_{me}", run_id="run"), Path(folder) / "door"
    done = 0
    while done < rounds:
        if take(Path(folder) / "lease", owner) is Claim.WAIT:
            continue
        try:
            door.touch(exist_ok=False)
            door.unlink()
        except FileExistsError:
            failures.put(f"{me} met somebody")
        lease(Path(folder) / "lease").release(owner, NOW)
        done += 1
    failures.put(None)


def test_one_lease_passed_on_under_load_lets_one_in_at_a_time(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("fork")
    failures = spawn.Queue()
    racers = [
        spawn.Process(target=pass_on, args=(str(tmp_path), me, 150, failures)) for me in (1, 2, 3)
    ]
    for racer in racers:
        racer.start()
    told = [failures.get(timeout=250) for _ in racers]
    for racer in racers:
        racer.join(timeout=250)
    assert told == [None, None, None]
