"""Prints a DAG run as it goes: changes of state, and the interesting lines of its logs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from devstack.airflow_api import Airflow, AirflowError, Line, Task

if TYPE_CHECKING:
    from collections.abc import Iterable

    from devstack.report import Report

READ_LOGS_EVERY = 3.0
ACTIVE = frozenset({"running", "deferred"})
NOT_YET = frozenset({None, "scheduled", "queued"})
SERIAL = "  │ "  # how a task log marks the output of a machine
GUEST = "guest reports: "
SHORT_SECRET = "Skipping masking for a secret"  # of Airflow, for values too short to be secrets
NOISE = (SERIAL, f"{GUEST}manifest", "::group::", "::endgroup::", SHORT_SECRET)
LAST_LINES = 15
MOST_CHARACTERS = 240


class Follower:
    """The `watch` of `Airflow.wait`: prints each change once."""

    def __init__(self, airflow: Airflow, report: Report, dag_id: str, run_id: str) -> None:
        self.airflow, self.report = airflow, report
        self.dag_id, self.run_id = dag_id, run_id
        self.states: dict[str, tuple[str | None, int]] = {}
        self.shown: set[tuple[str, int, str, str]] = set()
        self.began: dict[str, float] = {}
        self.read_at = 0.0

    def __call__(self, tasks: list[Task]) -> None:
        """Print what has changed since the last call, and new lines of the logs."""
        ordered = sorted(tasks, key=lambda task: (task.start is None, task.start))
        changed = [task for task in ordered if self._changed(task)]
        for task in changed:
            if task.state not in ACTIVE:
                self._print_log(task)
                self._print_state(task)
        for task in changed:
            if task.state in ACTIVE:
                self._print_state(task)
        if time.monotonic() - self.read_at >= READ_LOGS_EVERY:
            self.read_at = time.monotonic()
            for task in ordered:
                if task.state in ACTIVE:
                    self._print_log(task)
        self._print_now(ordered)

    def _print_state(self, task: Task) -> None:
        self.report.states(name(task), str(task.state), _seconds(task))

    def _changed(self, task: Task) -> bool:
        if task.state in NOT_YET:
            return False  # the next state is printed
        before = self.states.get(name(task))
        self.states[name(task)] = (task.state, task.try_number)
        if task.state in ACTIVE:
            self.began.setdefault(f"{name(task)}/{task.try_number}", time.monotonic())
            if before and before[0] in ACTIVE and before[1] == task.try_number:
                return False  # deferred and resumed: the same work goes on
        return before != (task.state, task.try_number)

    def _print_log(self, task: Task) -> None:
        for line in filter(is_interesting, self._new_lines(task)):
            for text in error_lines([line]):
                self.report.line(f"    {text[:MOST_CHARACTERS]}", "dim")

    def _new_lines(self, task: Task) -> list[Line]:
        if not task.try_number:
            return []
        try:
            lines = self.airflow.log(
                self.dag_id, self.run_id, task.task_id, task.try_number, task.map_index
            )
        except AirflowError:
            return []  # a log that is not there yet
        new = []
        for line in lines:
            key = (name(task), task.try_number, str(line.time), line.text)
            if key not in self.shown:
                self.shown.add(key)
                new.append(line)
                if line.text.startswith(SERIAL):
                    self.last_serial = line.text.removeprefix(SERIAL)
        return new

    last_serial = ""

    def _print_now(self, tasks: list[Task]) -> None:
        active = [task for task in tasks if task.state in ACTIVE]
        if active:
            task = active[-1]
            since = self.began[f"{name(task)}/{task.try_number}"]
            doing = f"{name(task)} {time.monotonic() - since:.0f} s  {self.last_serial}"
            self.report.now(doing.strip())


def is_interesting(line: Line) -> bool:
    """The guest's reports, Bakehouse's own lines, warnings and errors; not the rest."""
    logger = str(line.fields.get("logger", ""))
    if line.text.startswith(NOISE) or logger == "py.warnings":
        return False
    loud = line.level in {"warning", "error", "critical"}
    return loud or line.text.startswith(GUEST) or "bakehouse" in logger


def error_lines(lines: Iterable[Line]) -> list[str]:
    """Why a task failed: the exceptions and errors of its log, else its last lines."""
    errors: list[str] = []
    everything: list[str] = []
    for line in lines:
        everything.append(line.text)
        if line.level in {"error", "critical"}:
            errors += _exceptions(line) or [line.text]
    distinct = list(dict.fromkeys(text for text in errors if text))
    return distinct or everything[-LAST_LINES:]


def _exceptions(line: Line) -> list[str]:
    details = line.fields.get("error_detail") or []
    return [f"{d.get('exc_type')}: {d.get('exc_value')}" for d in details if isinstance(d, dict)]


def name(task: Task) -> str:
    """The task's id, with its index where it is mapped."""
    return task.task_id if task.map_index < 0 else f"{task.task_id}[{task.map_index}]"


def _seconds(task: Task) -> float | None:
    return None if task.state in ACTIVE else task.seconds
