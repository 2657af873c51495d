"""Commands about a project's own files: check, create and describe them."""

from __future__ import annotations

import json
import os
import shutil
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bakehouse.cli.app import ProjectOption, app, project_folder, use_airflow_of
from bakehouse.cli.output import JsonOption
from bakehouse.config.folder import INCLUDE, SETTINGS

if TYPE_CHECKING:
    from bakehouse.core.check import Check

_COLOURS = {"✗": "red", "?": "yellow"}


@app.command()
def doctor(
    project: ProjectOption = None,
    conn: Annotated[
        str,
        typer.Option(
            help="also ask Google Cloud by this connection, the ledger's store and the repository:"
            " of the stack of `make up`, or of this shell's Airflow"
        ),
    ] = "",
    repository: Annotated[str, typer.Option(help="the connection of git")] = "bakehouse_repo",
    as_json: JsonOption = False,
) -> None:
    """What is missing to bake: on this computer and, with --conn, in the project of Google Cloud.

    Below each line that is wrong stands the command that mends it. No machine is made. Exit code 1
    when something is missing.
    """
    from bakehouse.config.doctor import examine
    from bakehouse.config.running_stack import stack_environment
    from bakehouse.preflight.table import summary, table

    folder = project_folder(project)
    stack = stack_environment(folder) if conn else None
    environment = {**os.environ, **(stack or {})}
    with redirect_stdout(sys.stderr):  # Airflow's own log lines are no part of the table
        checks = examine(folder, environment)
        if conn:
            # else they would stand there twice, once untried
            checks = [check for check in checks if check.name not in {"ledger", conn, repository}]
            checks += _asked(folder, conn, repository)
    if as_json:
        typer.echo(json.dumps([check.model_dump(mode="json") for check in checks], indent=2))
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
        for line in table(checks, width):
            typer.secho(line, fg=_COLOURS.get(line[:1]))
        typer.echo(f"\n{summary(checks)}")
    if not all(check.ok for check in checks):
        raise typer.Exit(1)


def _asked(folder: Path, connection: str, repository: str) -> list[Check]:
    use_airflow_of(folder)
    from bakehouse.preflight.setup import setup_checks

    return setup_checks(folder / INCLUDE, connection, repository)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="a new or an empty folder")],
) -> None:
    """Write a project that starts: an example of each file. Exit code 1 if FOLDER is not empty."""
    from bakehouse.config.new_project import NotEmpty, commit_project, write_project

    try:
        files = write_project(folder)
    except NotEmpty as error:
        typer.echo(f"{error}", err=True)
        raise typer.Exit(1) from None
    for file in files:
        typer.echo(str(file))
    typer.echo(commit_project(folder))
    typer.echo(f"next: {folder / 'README.md'}")


@app.command()
def validate(project: ProjectOption = None) -> None:
    """Check recipes, scripts, fleets, prices, airflow_settings.yaml and the files of Astro's image.

    It reports every mistake. Those of recipes and fleets have the text of the DAGs' import errors.
    Exit code 1 for any mistake.
    """
    from bakehouse.config.airflow_settings import SettingsError, load_settings
    from bakehouse.config.astro_files import astro_mistakes
    from bakehouse.config.project import all_mistakes, read_project
    from bakehouse.history.prices import load_prices
    from bakehouse.recipe.mistakes import Mistakes

    folder = project_folder(project)
    mistakes = [str(found) for found in all_mistakes(folder / INCLUDE)]
    try:
        load_settings(folder / SETTINGS)
    except SettingsError as error:
        mistakes += map(str, error.mistakes)
    mistakes += map(str, astro_mistakes(folder))
    try:
        load_prices(folder / INCLUDE)
    except Mistakes as wrong:
        mistakes += map(str, wrong.mistakes)
    for text in mistakes:
        typer.echo(text, err=True)
    if mistakes:
        raise typer.Exit(1)
    found = read_project(folder / INCLUDE)
    for kind, models in (("recipes", found.recipes), ("fleets", found.fleets)):
        typer.echo(f"{len(models)} {kind}: {', '.join(model.name for model in models)}")


@app.command()
def schema(project: ProjectOption = None) -> None:
    """Write include/*/schema.json, which editors read, and the tables of docs/recipes.md."""
    from bakehouse.config.schema import write_schemas, write_tables
    from bakehouse.recipe.model import Recipe

    folder, guide = project_folder(project), "docs/recipes.md"
    files = write_schemas(folder / INCLUDE)
    if (folder / guide).is_file():
        files.append(write_tables(folder / guide, Recipe))
    for file in files:
        typer.echo(str(file))
