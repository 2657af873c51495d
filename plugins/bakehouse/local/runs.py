"""The runs of this computer: which still go on, and which have left something behind.

A run holds a lock on its file while its process lives; the kernel releases it however that ends.
So what a killed build has left is known, and the next build or `bakehouse rm` deletes it.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import ValidationError

from bakehouse.core.models import Frozen
from bakehouse.images.names import run_label

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from bakehouse.local.places import Places


class LocalRun(Frozen):
    """One build, test or run, by Airflow's names for it."""

    recipe: str
    dag_id: str
    run_id: str

    @property
    def label(self) -> str:
        """The label of everything that it makes."""
        return run_label(self.dag_id, self.run_id)


def new_run(recipe: str, verb: str) -> LocalRun:
    """Return a run that no other has the names of; `verb` is build, test or run."""
    now = datetime.now(UTC)
    run_id = f"{verb}__{now:%Y-%m-%dT%H:%M:%S.%f}_{os.getpid()}"
    return LocalRun(recipe=recipe, dag_id=f"local__{recipe}", run_id=run_id)


@contextmanager
def living(places: Places, run: LocalRun) -> Generator[None]:
    """Let the run count as living meanwhile; its file stays until `forget`."""
    places.runs.mkdir(parents=True, exist_ok=True)
    path = _file(places, run.label)
    with path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(run.model_dump_json())
        file.flush()
        yield


def forget(places: Places, label: str) -> None:
    """Nothing of the run is left."""
    _file(places, label).unlink(missing_ok=True)


def lives(places: Places, label: str) -> bool:
    """Whether a process holds the run's lock."""
    try:
        with _file(places, label).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def ended(places: Places) -> list[LocalRun]:
    """Return the runs whose process has ended without saying that nothing is left."""
    found = []
    for path in sorted(places.runs.glob("*.json")):
        if lives(places, path.stem):
            continue
        try:
            found.append(LocalRun.model_validate_json(path.read_text()))
        except ValidationError:  # killed while it wrote this
            path.unlink(missing_ok=True)
    return found


def _file(places: Places, label: str) -> Path:
    return places.runs / f"{label}.json"
