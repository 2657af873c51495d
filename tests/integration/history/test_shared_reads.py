"""Answers that the runs of one night share; never one that is older than the run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from bakehouse.history.shared_reads import CLOCKS_DIFFER, SharedReads

if TYPE_CHECKING:
    from pathlib import Path

LONG_AGO = timedelta(minutes=5)


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    return f"file://{tmp_path}/ledger"


class Question:
    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> bytes:
        self.times += 1
        return f"answer {self.times}\nsecond line".encode()


def run_started(ledger: str, ago: timedelta) -> SharedReads:
    return SharedReads(ledger, datetime.now(UTC) - ago)


def test_runs_that_started_before_the_answer_was_read_share_it(ledger: str) -> None:
    question = Question()
    answers = [run_started(ledger, LONG_AGO).read("images", question) for _ in range(3)]
    assert answers == [b"answer 1\nsecond line"] * 3
    assert run_started(ledger, LONG_AGO).read("other images", question).startswith(b"answer 2")


def test_a_run_that_started_later_asks_anew_and_its_answer_serves_all(ledger: str) -> None:
    question = Question()
    run_started(ledger, LONG_AGO).read("images", question)
    later = SharedReads(ledger, datetime.now(UTC))
    assert later.read("images", question).startswith(b"answer 2")
    assert run_started(ledger, LONG_AGO).read("images", question).startswith(b"answer 2")


def test_an_answer_of_the_moment_of_the_start_is_not_taken_since_clocks_differ(
    ledger: str,
) -> None:
    question = Question()
    run_started(ledger, LONG_AGO).read("images", question)
    run_started(ledger, CLOCKS_DIFFER / 2).read("images", question)
    assert question.times == 2


@pytest.mark.parametrize("data", [b"", b"not gzip", b"\x1f\x8b\x08\x00"])
def test_a_damaged_answer_is_read_again(ledger: str, tmp_path: Path, data: bytes) -> None:
    question = Question()
    run_started(ledger, LONG_AGO).read("images", question)
    (entry,) = (tmp_path / "ledger/shared").iterdir()
    for broken in (data, entry.read_bytes()[:-6]):  # a writer that died
        entry.write_bytes(broken)
        run_started(ledger, LONG_AGO).read("images", question)
    assert question.times == 3


def test_an_error_is_nobodys_answer(ledger: str) -> None:
    def refuses() -> bytes:
        raise LookupError("no answer")

    with pytest.raises(LookupError):
        run_started(ledger, LONG_AGO).read("images", refuses)
    assert run_started(ledger, LONG_AGO).read("images", Question()).startswith(b"answer 1")


def test_a_store_that_refuses_costs_the_sharing_only(
    ledger: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "ledger").write_text("no folder")
    assert run_started(ledger, LONG_AGO).read("images", Question()).startswith(b"answer 1")
    assert "could not be kept for other runs" in caplog.text
