"""The functions for DAG files. Cheap to import: the rest is imported when they are called."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bakehouse.core.tasks import Flow

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Mapping

FOLDERS = ("recipes", "fleets")


def register_dags(
    namespace: dict[str, object],
    include: Path | str,
    *,
    flows: Collection[str] = tuple(Flow),
    schedule: str = "0 6 * * *",
    timezone: str = "UTC",
    owner: str = "bakehouse",
    notify: Collection[Mapping[str, object]] = (),
) -> None:
    """Put a project's DAGs into `namespace`, which is a DAG file's `globals()`.

    Args:
        namespace: where the DAGs are put, each under its id.
        include: the folder with recipes/, fleets/ and startup_scripts/.
        flows: which DAGs: `bake` (`bake__<recipe>`), `rollout` (`roll_out__<fleet>`),
            `finalise` (`finalise__<fleet>`, of a recipe with a script of that name),
            `housekeeping`, `revoke`, `check_setup`.
        schedule: of `housekeeping`, as a cron expression.
        timezone: of that schedule.
        owner: of `housekeeping`, `revoke` and `check_setup`.
        notify: channels to notify when a run of these two is late or fails, as in a recipe:
            `[{"notifier": "smtp", "arguments": {"to": "x@y.z"}}]`.

    Raises:
        ValueError: for an unknown flow, an invalid `schedule` or an invalid `notify`.
    """
    from bakehouse.dag_factory.register import make_dags

    with _uncollected():
        for dag in make_dags(Path(include), flows, schedule, timezone, owner, notify):
            namespace[dag.dag_id] = dag


@contextmanager
def _uncollected() -> Generator[None]:
    """Pause the garbage collector: it would walk all DAGs again for each few that are added.

    What a DAG file makes stays, so there is next to nothing to collect.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def raise_for_broken_files(include: Path | str, *, folders: Collection[str] = FOLDERS) -> None:
    """Raise one error that names every mistake in a project's files; return when there is none.

    Args:
        include: the folder with recipes/, fleets/ and startup_scripts/.
        folders: `recipes` (with their scripts), `fleets`, or both.

    Raises:
        ValueError: with every mistake, its file, line and remedy.
    """
    from bakehouse.config.project import fleet_mistakes, read_project, recipe_mistakes
    from bakehouse.recipe.mistakes import Mistakes, as_text

    project = read_project(Path(include))
    broken = list[Mistakes]()
    if "recipes" in folders:
        broken += recipe_mistakes(Path(include), project, parsing=True)
    broken += fleet_mistakes(Path(include), project) if "fleets" in folders else []
    if broken:
        raise ValueError("\n" + as_text(broken))
