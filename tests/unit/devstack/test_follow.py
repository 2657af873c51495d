"""What a person is shown of a run."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from devstack.airflow_api import Airflow, Line, Task
from devstack.follow import Follower, error_lines, is_interesting
from devstack.report import Report

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def line(text: str, level: str = "info", logger: str = "airflow", **fields: object) -> Line:
    return Line(NOW, level, text, {"logger": logger, **fields})


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (line("guest reports: stage install"), True),
        (line("guest reports: manifest H4sI"), False),
        (line("  │ Unpacking nginx", logger="bakehouse.cloud.serial_stream"), False),
        (line("::group::9 lines of the kernel", logger="bakehouse.cloud.serial_stream"), False),
        (line("no image has this key", logger="bakehouse.bake.plan"), True),
        (line("Pre task execution logs"), False),
        (line("something is odd", level="warning"), True),
        (line("x is deprecated", level="warning", logger="py.warnings"), False),
        (line("Skipping masking for a secret as it's too short", level="warning"), False),
    ],
)
def test_interesting_is_what_bakehouse_and_its_guests_say(said: Line, shown: bool) -> None:
    assert is_interesting(said) is shown


def test_a_failure_is_told_by_its_exceptions() -> None:
    detail = [{"exc_type": "PermanentError", "exc_value": "install.sh:3 failed"}]
    lines = [line("fine"), line("Task failed with exception", "error", error_detail=detail)]
    assert error_lines(lines) == ["PermanentError: install.sh:3 failed"]


def test_without_an_error_the_last_lines_are_told() -> None:
    assert error_lines([line(str(n)) for n in range(40)]) == [str(n) for n in range(25, 40)]


class Quiet(Airflow):
    """An Airflow whose logs are given."""

    def __init__(self, lines: list[Line]) -> None:
        self.lines = lines

    def log(self, *_: object, **__: object) -> list[Line]:
        return self.lines


def task(state: str | None, seconds: float | None = None) -> Task:
    end = None if seconds is None else NOW + timedelta(seconds=seconds)
    return Task("create_builder", -1, state, 1, NOW, end)


def test_each_change_and_each_line_is_told_once() -> None:
    out = io.StringIO()
    report = Report(Console(file=out, width=200, highlight=False))
    follower = Follower(Quiet([line("guest reports: stage boot [1]")]), report, "d", "r")
    for tasks in (
        [task(None)],
        [task("running")],
        [task("deferred")],
        [task("queued")],
        [task("running")],
        [task("success", 2.5)],
        [task("success", 2.5)],
    ):
        follower(tasks)
    told = [text.split("s  ", 1)[1].split() for text in out.getvalue().splitlines()]
    assert told == [
        ["create_builder", "running"],
        ["guest", "reports:", "stage", "boot", "[1]"],
        ["create_builder", "success", "2.5", "s"],
    ]
