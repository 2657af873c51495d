"""A deadline that has passed is shown as missed when it was, and only then."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from .conftest import SLA, START

if TYPE_CHECKING:
    from .conftest import World

IN_TIME, TOO_LATE = START + SLA - timedelta(seconds=1), START + SLA + timedelta(seconds=1)
TASK = "smoke_test"


@pytest.mark.parametrize("state", ["success", "skipped", "removed", "upstream_failed"])
def test_a_task_that_ended_in_time_or_could_not_run_is_not_shown_as_late(
    world: World, state: str
) -> None:
    world.task(TASK, state, IN_TIME)
    world.deadline(TASK)
    world.scheduler_finds_it_missed()
    assert world.rows == []
    assert world.note is None


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (None, "has not started"),
        ("deferred", "is deferred"),
        ("running", "is running"),
        ("failed", "is failed"),
        ("up_for_retry", "is up_for_retry"),
    ],
)
def test_a_late_task_is_shown_and_noted_while_it_is_late(
    world: World, state: str | None, said: str
) -> None:
    world.task(TASK, state)
    world.deadline(TASK)
    world.scheduler_finds_it_missed()
    assert [row.missed for row in world.rows] == [True]
    assert world.note is not None
    assert world.note.startswith(f"- **SLA missed:** `{TASK}` {said}; it should have succeeded")
    assert "within 10m of" in world.note


def test_a_task_that_ended_late_while_no_scheduler_ran_is_shown(world: World) -> None:
    world.task(TASK, "success", TOO_LATE)
    world.deadline(TASK)
    world.scheduler_finds_it_missed()
    assert [row.missed for row in world.rows] == [True]


def test_the_run_itself_is_late_while_it_goes_on(world: World) -> None:
    world.deadline()
    world.scheduler_finds_it_missed()
    assert [row.missed for row in world.rows] == [True]
    assert "`the run` is running" in str(world.note)


@pytest.mark.parametrize("task", ["", TASK])
@pytest.mark.parametrize("state", ["failed", "success"])
def test_no_deadline_of_a_run_that_has_ended_turns_late(
    world: World, task: str, state: str
) -> None:
    world.task(TASK, "failed", IN_TIME)
    world.deadline(task)
    world.run.state, world.run.end_date = state, IN_TIME
    world.scheduler_finds_it_missed()
    assert world.rows == []
    assert world.note is None


def test_the_sla_of_a_task_does_not_count_while_its_run_is_queued(world: World) -> None:
    world.task(TASK, None)
    world.deadline(TASK)
    world.run.start_date = None
    world.scheduler_finds_it_missed()
    assert world.rows == []


def test_each_of_several_is_judged_for_itself(world: World) -> None:
    world.task("first", "success", IN_TIME)
    world.task("second", "running")
    world.task("third", "skipped", IN_TIME)
    for task in ("first", "second", "third"):
        world.deadline(task)
    world.scheduler_finds_it_missed()
    (row,) = world.rows
    assert row.callback.data["kwargs"]["task_id"] == "second"


def test_an_error_of_the_judgement_leaves_airflows_row(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("another Airflow")

    monkeypatch.setattr("bakehouse.runs.deadlines._miss", broken)
    world.task(TASK, "success", IN_TIME)
    world.deadline(TASK)
    world.scheduler_finds_it_missed()
    assert [row.missed for row in world.rows] == [True]
    assert "could not be judged" in caplog.text
