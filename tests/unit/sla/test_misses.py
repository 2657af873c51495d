from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.sla.misses import AT_THE_END, SOON, find_misses, seconds_to_next_check, task_state

START = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
SLAS = {"create_image": 60.0, "smoke_test": 120.0}


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def missed(
    states: dict[str, str | None], seconds: float, reported: set[str] | None = None
) -> list[str]:
    return [m.task_id for m in find_misses(SLAS, states, START, at(seconds), reported or set())]


def test_a_task_still_waiting_for_its_upstream_is_missed() -> None:
    assert missed({"create_image": None, "smoke_test": None}, 61) == ["create_image"]


def test_a_task_that_is_not_in_the_run_yet_is_missed() -> None:
    assert missed({}, 121) == ["create_image", "smoke_test"]


def test_running_deferred_and_retrying_tasks_are_missed() -> None:
    for state in ("running", "deferred", "queued", "up_for_retry", "failed", "upstream_failed"):
        assert missed({"create_image": state}, 60) == ["create_image"], state


def test_tasks_that_succeeded_or_were_skipped_are_not() -> None:
    assert missed({"create_image": "success", "smoke_test": "skipped"}, 1000) == []


def test_each_task_is_reported_once() -> None:
    assert missed({"create_image": "running"}, 90, {"create_image"}) == []


def test_a_mapped_task_is_late_while_one_of_its_instances_is() -> None:
    states = {"replace_1_0": "success", "replace_1_1": "running"}
    assert task_state("replace_1", states, {"replace_1"}) == "running"


def test_a_task_whose_name_ends_in_a_number_is_not_taken_for_a_mapped_instance() -> None:
    states = {"select_members_1": "running"}
    assert task_state("select_members", states, {"select_members", "select_members_1"}) is None


def test_the_watch_ends_when_every_task_has_ended_or_was_reported() -> None:
    states: dict[str, str | None] = {"create_image": "running", "smoke_test": "upstream_failed"}
    assert seconds_to_next_check(SLAS, states, START, at(70), {"create_image"}, 5, 0) is None


@pytest.mark.parametrize(
    ("idle", "wait", "at_the_end"),
    [
        (0, SOON, AT_THE_END),
        (0.9, SOON, 0.9),
        (1.5, 1.5, 1.5),
        (4.9, 4.9, 4.9),
        (5.1, 5, 5),
        (900, 5, 5),
    ],
)
def test_it_looks_often_while_states_change_and_seldom_while_they_do_not(
    idle: float, wait: float, at_the_end: float
) -> None:
    slas = dict.fromkeys(("a", "b", "c", "d", "e"), 6000.0)
    states: dict[str, str | None] = {"a": "success", "b": "deferred"}
    assert seconds_to_next_check(slas, states, START, at(9), set(), 5, idle) == wait
    last: dict[str, str | None] = {**dict.fromkeys("abcd", "success"), "e": "deferred"}
    assert seconds_to_next_check(slas, last, START, at(9), set(), 5, idle) == at_the_end


def test_it_wakes_at_the_next_deadline() -> None:
    wait = seconds_to_next_check(SLAS, {"create_image": "running"}, START, at(58), set(), 5, 60)
    assert wait is not None
    assert 2 <= wait < 2.1


@given(
    st.dictionaries(st.sampled_from(["a", "b", "c"]), st.floats(0, 100), min_size=1),
    st.floats(0, 200),
    st.lists(
        st.sampled_from([None, "queued", "running", "deferred", "success", "failed"]),
        min_size=3,
        max_size=3,
    ),
)
def test_looking_again_after_reporting_never_finds_the_same_miss(
    slas: dict[str, float], seconds: float, given_states: list[str | None]
) -> None:
    states = dict(zip("abc", given_states, strict=True))
    first = find_misses(slas, states, START, at(seconds), set())
    again = find_misses(slas, states, START, at(seconds + 1), {m.task_id for m in first})
    assert not {m.task_id for m in first} & {m.task_id for m in again}
