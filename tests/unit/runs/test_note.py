"""What stands in the note of a run: a person's own text first, and ours never twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.runs.note import (
    FAILED,
    LATE,
    MORE,
    MOST,
    failed_line,
    late_line,
    slow_line,
    waiting_line,
    with_waits,
    withdrawn,
    written,
)

REASON = failed_line("wait_for_shutdown: no such package")
SMOKE = late_line("smoke_test", "smoke_test has not started; it should have succeeded by 03:40")
PLAN = late_line("plan_bake", "plan_bake is running; it should have succeeded by 03:10")


def test_lines_say_what_they_are_and_are_single_lines() -> None:
    assert failed_line("one\n  two") == f"{FAILED}one two"
    assert SMOKE.startswith(f"{LATE}`smoke_test` has not started;")


def test_a_persons_text_stays_above_ours() -> None:
    assert written(None, [REASON]) == REASON
    assert written("Mine.\n\nToo.", [REASON]) == f"Mine.\n\nToo.\n\n{REASON}"
    assert written("Mine.", []) == "Mine."
    assert written(None, []) is None


def test_the_same_is_never_told_twice_and_the_newest_counts() -> None:
    note = written("Mine.", [SMOKE, REASON])
    assert note == f"Mine.\n\n{REASON}\n{SMOKE}"
    assert written(note, [REASON, SMOKE]) == note
    newer = failed_line("smoke_test: not healthy")
    assert written(note, [newer]) == f"Mine.\n\n{newer}\n{SMOKE}"
    assert written(note, [PLAN]) == f"Mine.\n\n{REASON}\n{SMOKE}\n{PLAN}"


def test_text_that_a_person_adds_behind_ours_is_kept() -> None:
    note = f"{written(None, [REASON])}\nSeen, Ada."
    assert written(note, [SMOKE]) == f"Seen, Ada.\n\n{REASON}\n{SMOKE}"
    assert withdrawn(note) == "Seen, Ada."


@pytest.mark.parametrize("own", ["Mine.", "Mine.\n\n- a list"])
def test_a_run_that_starts_anew_has_only_the_persons_text(own: str) -> None:
    assert withdrawn(written(own, [REASON, SMOKE])) == own
    assert withdrawn(written(None, [REASON])) is None
    assert withdrawn(None) is None


def test_a_failed_run_that_is_marked_as_successful_keeps_only_what_was_late() -> None:
    assert withdrawn(written("Mine.", [REASON, SMOKE]), failure_only=True) == f"Mine.\n\n{SMOKE}"
    assert withdrawn(written(None, [REASON]), failure_only=True) is None


def test_what_finds_no_room_is_said_to_be_elsewhere() -> None:
    many = [late_line(f"replace_{n}", "x" * 90) for n in range(30)]
    note = written(None, many)
    assert note is not None
    assert note.endswith(MORE)
    assert note.startswith(many[0])
    assert written(note, many) == note


@given(
    own=st.text(max_size=MOST).map(str.rstrip),
    lines=st.lists(st.text(min_size=1, max_size=400).map(failed_line)),
)
def test_the_note_always_fits_and_never_costs_a_persons_text(own: str, lines: list[str]) -> None:
    own = "\n".join(line for line in own.split("\n") if not line.startswith("- **"))
    note = written(own, lines) or ""
    assert len(note) <= MOST
    assert note.startswith(own)


def test_a_run_that_waited_for_airflow_has_one_line_of_it_which_a_new_start_takes_away() -> None:
    slow, newer = slow_line("for 5m of 10m"), slow_line("for 6m of 10m")
    note = written(written("Mine.", [SMOKE, slow]), [newer, REASON])
    assert note == f"Mine.\n\n{REASON}\n{SMOKE}\n{newer}"
    assert withdrawn(note) == "Mine."
    assert withdrawn(note, failure_only=True) == f"Mine.\n\n{SMOKE}\n{newer}"


WAIT = waiting_line("replace_1", "web-1", "2026-11-27T03:04:05+00:00", "frozen by\n ann")


def test_a_wait_says_task_member_and_since_when() -> None:
    assert WAIT == "- **Waits:** `replace_1` (web-1) since 2026-11-27 03:04 UTC: frozen by ann"


def test_waits_come_and_go_and_all_else_stays() -> None:
    note = written("Mine.", [REASON, SMOKE])
    waits = with_waits(note, [WAIT])
    assert waits == f"{note}\n{WAIT}"
    assert with_waits(waits, []) == note
    assert with_waits(waits, [WAIT]) == waits
    assert with_waits(None, []) is None
    assert written(waits, [PLAN]) == f"{note}\n{WAIT}\n{PLAN}"


def test_of_many_waits_a_few_are_told_and_the_others_counted() -> None:
    lines = [waiting_line(f"replace_{n}", "", "2026-11-27T03:04:05", "x") for n in range(9)]
    note = with_waits(None, lines)
    assert note is not None
    assert note.splitlines()[-1] == "- **Waits:** 6 more tasks"
    assert with_waits(note, []) is None
