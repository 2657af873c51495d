"""Commands about a project's own files: check, create and describe them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from bakehouse.cli.app import ProjectOption, app, project_folder
from bakehouse.config.folder import INCLUDE, SETTINGS


@app.command()
def doctor(project: ProjectOption = None) -> None:
    """What this computer and this project lack to bake. Exit code 1 when something is missing."""
    from bakehouse.config.doctor import examine

    checks = examine(project_folder(project), os.environ)
    for check in checks:
        typer.echo(f"{'ok ' if check.ok else 'NOT'}  {check.name:<20} {check.detail}")
    if not all(check.ok for check in checks):
        raise typer.Exit(1)


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
    """Check recipes, scripts, fleets, airflow_settings.yaml and the files of Astro's image.

    It reports every mistake. Those of recipes and fleets have the text of the DAGs' import errors.
    Exit code 1 for any mistake.
    """
    from bakehouse.config.airflow_settings import SettingsError, load_settings
    from bakehouse.config.astro_files import astro_mistakes
    from bakehouse.config.project import all_mistakes, read_project

    folder = project_folder(project)
    mistakes = [str(found) for found in all_mistakes(folder / INCLUDE)]
    try:
        load_settings(folder / SETTINGS)
    except SettingsError as error:
        mistakes += map(str, error.mistakes)
    mistakes += map(str, astro_mistakes(folder))
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
