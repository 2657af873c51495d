"""How long a run waited for Airflow, and not for a machine: no task of it was under way. Pure.

A task is under way from its first start to its end, its waits and the time between its tries
included. The rest of the run is what scheduler, executor and workers took to start the next one:
seconds where they keep up, minutes where they are too small for all the runs of a night.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from bakehouse.recipe.duration import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable

LEAST = timedelta(minutes=2)  # that is told
SHARE = 0.25  # of the run's time, that is told


class Span(NamedTuple):
    """One task: from its first start to its end; None as its end while it is under way."""

    start: datetime
    end: datetime | None


def waited(started: datetime, ended: datetime, spans: Iterable[Span]) -> timedelta:
    """Return how much of the run no span covers; nothing where no task has started at all."""
    idle, covered = timedelta(0), started
    in_order = sorted(spans, key=lambda span: span.start)
    if not in_order:
        return idle
    for span in in_order:
        idle += max(timedelta(0), min(span.start, ended) - covered)
        covered = max(covered, min(span.end or ended, ended))
    return idle + max(timedelta(0), ended - covered)


def told(started: datetime, ended: datetime, spans: Iterable[Span]) -> str | None:
    """Return the sentence for note and log; None where Airflow has kept up."""
    idle, length = waited(started, ended, spans), ended - started
    if idle < LEAST or idle < SHARE * length:
        return None
    return (
        f"for {_in_words(idle)} of {_in_words(length)} no task of this run was under way: Airflow"
        " started them late, no machine was waited for. It is too small for the runs of this time,"
        " or they should be due at different ones"
    )


def _in_words(time: timedelta) -> str:
    return format_duration(timedelta(seconds=round(time.total_seconds())))
