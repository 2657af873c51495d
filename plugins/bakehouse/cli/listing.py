"""Commands that list: recipes and fleets from their files, images and rollouts from the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bakehouse.cli.app import (
    LedgerOption,
    ProjectOption,
    app,
    fail,
    ledger_events,
    project_folder,
)
from bakehouse.cli.output import JsonOption, show
from bakehouse.cli.values import Rows
from bakehouse.config.folder import INCLUDE

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from bakehouse.config.project import Project
    from bakehouse.fleet.members import Members

LimitOption = Annotated[
    int, typer.Option("--limit", "-n", parser=Rows("--limit"), help="at most so many rows")
]


@app.command()
def recipes(as_json: JsonOption = False, project: ProjectOption = None) -> None:
    """List the recipes of include/recipes: base, schedule with its zone, fleets."""
    found = _read(project_folder(project))
    rows = [
        {
            "recipe": recipe.name,
            "base": str(recipe.model_dump(mode="json")["base"]).strip("{}").replace("'", ""),
            "schedule": f"{recipe.schedule} {recipe.timezone}" if recipe.schedule else None,
            "fleets": [fleet.name for fleet in found.fleets if fleet.recipe == recipe.name],
            "description": recipe.description,
        }
        for recipe in found.recipes
    ]
    show(rows, as_json=as_json, empty="no recipes: `bakehouse new recipe NAME` writes one")


@app.command()
def fleets(as_json: JsonOption = False, project: ProjectOption = None) -> None:
    """List the fleets of include/fleets: recipe, members, stages, and what starts a rollout."""
    rows = [
        {
            "fleet": fleet.name,
            "recipe": fleet.recipe,
            "members": _members(fleet.members),
            "stages": [str(stage) for stage in fleet.stages],
            "rollout": fleet.rollout,
            "description": fleet.description,
        }
        for fleet in _read(project_folder(project)).fleets
    ]
    show(rows, as_json=as_json, empty="no fleets: docs/fleets.md describes their files")


@app.command()
def images(
    recipe: Annotated[str | None, typer.Argument(help="only images of this recipe")] = None,
    limit: LimitOption = 20,
    as_json: JsonOption = False,
    ledger: LedgerOption = None,
    project: ProjectOption = None,
) -> None:
    """List the images that bakes have made, the newest first, by the ledger."""
    from bakehouse.history.overview import images as listed

    base, events = ledger_events(ledger, project)
    rows = [
        {
            "image": row.image,
            "state": row.state,
            "time": _time(row.time),
            "commit": row.git_sha if as_json else row.git_sha[:7],
            "packages": row.packages,
            "family": row.family,
            "why": row.why,
        }
        for row in listed(events, recipe)[:limit]
    ]
    of_recipe = f" of {recipe}" if recipe else ""
    show(rows, as_json=as_json, empty=f"the ledger {base} has no images{of_recipe}")


@app.command()
def rollouts(
    fleet: Annotated[str | None, typer.Argument(help="only rollouts of this fleet")] = None,
    limit: LimitOption = 20,
    as_json: JsonOption = False,
    ledger: LedgerOption = None,
    project: ProjectOption = None,
) -> None:
    """List the rollouts, the newest first, and how they ended, by the ledger."""
    from bakehouse.history.overview import rollouts as listed

    base, events = ledger_events(ledger, project)
    rows = [
        {
            "fleet": row.fleet,
            "image": row.image,
            "state": row.state,
            "time": _time(row.time),
            "members": f"{row.moved} of {row.members}",
            "run": row.run_id,
            "why": row.why,
        }
        for row in listed(events, fleet)[:limit]
    ]
    of_fleet = f" of {fleet}" if fleet else ""
    show(rows, as_json=as_json, empty=f"the ledger {base} has no rollouts{of_fleet}")


def _read(folder: Path) -> Project:
    """The valid files; the broken ones are named, and `validate` says what is wrong with them."""
    from bakehouse.config.project import read_project

    found = read_project(folder / INCLUDE)
    for broken in (*found.broken_recipes, *found.broken_fleets):
        fail(f"{broken.mistakes[0].file} has mistakes: `bakehouse validate` shows them")
    return found


def _members(members: Members) -> str:
    labels, names = members.labels, list(members.names or ())
    if members.group is not None:
        chosen = f"the group {members.group}"
    elif labels is not None:
        chosen = ", ".join(f"{key}={value}" for key, value in labels.items())
    elif members.name is not None:
        chosen = f"{names[0]} to {names[-1]}" if len(names) > 1 else names[0]
    else:
        chosen = ", ".join(names)
    return f"{chosen} in {', '.join(members.zones)}"


def _time(moment: datetime) -> str:
    from bakehouse.core.time import format_utc

    return format_utc(moment)
