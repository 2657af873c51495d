"""`bakehouse`: the command line of a project; it needs no running Airflow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from bakehouse.config.folder import INCLUDE, SETTINGS, NotAProject, find_project

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

LedgerOption = Annotated[
    str | None,
    typer.Option(
        help="its URL; default: that of `make up`, else of this shell's Airflow",
        envvar="AIRFLOW_VAR_BAKEHOUSE_LEDGER",
    ),
]
ProjectOption = Annotated[
    Path | None, typer.Option("--project", help="the project's folder; default: this one")
]


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
    """Check recipes, scripts, fleets and airflow_settings.yaml; report every mistake.

    The mistakes of recipes and fleets have the text of the DAGs' import errors. Exit code 1 for
    any mistake.
    """
    from bakehouse.config.airflow_settings import SettingsError, load_settings
    from bakehouse.config.project import all_mistakes, read_project

    folder = project_folder(project)
    mistakes = [str(found) for found in all_mistakes(folder / INCLUDE)]
    try:
        load_settings(folder / SETTINGS)
    except SettingsError as error:
        mistakes += error.mistakes
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


@app.command()
def ancestry(
    image: Annotated[str, typer.Argument(help="an image's name")],
    ledger: LedgerOption = None,
    project: ProjectOption = None,
) -> None:
    """The images that an image is based on, and those that are based on it. From the ledger."""
    from bakehouse.history.ancestry import bakes_by_image, describe
    from bakehouse.history.ledger import Ledger

    base = ledger or ledger_of(project_folder(project))
    events = Ledger(base).events(lambda record: typer.echo(str(record), err=True))
    bakes = bakes_by_image(events)
    if image not in bakes:
        typer.echo(f"the ledger {base} has no bake of {image}", err=True)
        raise typer.Exit(1)
    for line in describe(image, bakes):
        typer.echo(line)


@app.command()
def diff(
    old: Annotated[str, typer.Argument(help="the name of an image")],
    new: Annotated[str, typer.Argument(help="the name of another")],
    as_json: Annotated[bool, typer.Option("--json", help="as data")] = False,
    ledger: LedgerOption = None,
    project: ProjectOption = None,
) -> None:
    """The differences of two images: packages, kernel, services. Exit code 1 when unknown."""
    from bakehouse.history.diff import diff_images, full_report
    from bakehouse.history.manifest_store import ManifestNotFound, read_manifest

    base = ledger or ledger_of(project_folder(project))
    try:
        before, after = (read_manifest(base, image) for image in (old, new))
    except (ManifestNotFound, ValueError, OSError) as unknown:
        typer.echo(f"{unknown}", err=True)
        raise typer.Exit(1) from None
    found = diff_images(old, before, new, after)
    typer.echo(found.model_dump_json(indent=2) if as_json else full_report(found))


def ledger_of(project: Path) -> str:
    """The ledger of the stack of `make up`, if there is one, else of this shell's Airflow."""
    own = project / ".bakehouse" / "up" / "airflow"
    home = own if own.exists() else Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
    return f"file://{home}/ledger"


def project_folder(given: Path | None) -> Path:
    """The folder given, else this one or the nearest project above it."""
    try:
        return find_project(given or Path.cwd())
    except NotAProject as error:
        typer.echo(f"{error}", err=True)
        raise typer.Exit(2) from None


if __name__ == "__main__":
    app()
