"""Write the note of a run, in Airflow's database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.runs.note import with_waits, withdrawn, written

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow.models.dagrun import DagRun


def add_to_note(run: DagRun, lines: Iterable[str]) -> None:
    """Add lines of ours to the note of a run; a person's own text stays."""
    _set(run, written(run.note, lines))


def set_waits(run: DagRun, lines: Sequence[str]) -> None:
    """Let the note say what the run's tasks wait for, and nothing else of that kind."""
    _set(run, with_waits(run.note, lines))


def withdraw_note(run: DagRun, *, failure_only: bool = False) -> None:
    """Take our lines, or that of a failure, out of the note."""
    _set(run, withdrawn(run.note, failure_only=failure_only))


def _set(run: DagRun, note: str | None) -> None:
    if note == run.note:
        return
    if note is None:
        run.dag_run_note = None
    elif run.dag_run_note is None:
        run.note = note
    else:
        run.dag_run_note.content = note  # who wrote the note stays its author
