"""`bakehouse`: what can be said of a project and its images, on any machine."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

DISK_GB = 6  # public image, its cache, a builder's disk and Airflow

LedgerOption = Annotated[
    str | None,
    typer.Option(
        help="its URL; that of `bakehouse up`, else of this shell's Airflow, unless told",
        envvar="AIRFLOW_VAR_BAKEHOUSE_LEDGER",
    ),
]
ProjectOption = Annotated[
    Path | None, typer.Option("--project", help="folder with dags/; this one, unless told")
]


@app.command()
def doctor(project: ProjectOption = None) -> None:
    """What this machine can do, and what is missing. Exit code 1 when something is."""
    from devstack import machines
    from devstack.report import Report

    folder = project_folder(project)
    report = Report()
    able, words = machines.doctor()
    free = shutil.disk_usage(folder).free / 2**30
    checks = [
        ("Python", sys.version_info >= (3, 11), sys.version.split()[0]),
        ("git", shutil.which("git") is not None, shutil.which("git") or "apt-get install git"),
        ("disk", free >= DISK_GB, f"{free:.0f} GB free, {DISK_GB} are needed"),
        ("recipes", *recipes_checked(folder)),
        ("real machines", able, "see below" if able else machines.reason(words)),
    ]
    for name, ok, detail in checks:
        report.line(f"{name:<14} {'ok ' if ok else 'NOT'}  {detail}", "" if ok else "red")
    for line in words.splitlines():
        report.line(f"    {line}", "dim")
    if not all(ok for _, ok, _ in checks):
        raise typer.Exit(1)


@app.command()
def validate(project: ProjectOption = None) -> None:
    """Check recipes, scripts, fleets, airflow_settings.yaml: every mistake with its remedy.

    Recipes and fleets in the very words of the DAGs' import errors. Exit code 1 for any mistake.
    """
    from bakehouse.config.project import everything_wrong, read_project
    from devstack.settings import SettingsError, load_settings

    folder = project_folder(project)
    told = [str(mistakes) for mistakes in everything_wrong(folder / "include")]
    try:
        load_settings(folder / "airflow_settings.yaml")
    except SettingsError as error:
        told += error.mistakes
    for text in told:
        typer.echo(text, err=True)
    if told:
        raise typer.Exit(1)
    found = read_project(folder / "include")
    for kind, models in (("recipes", found.recipes), ("fleets", found.fleets)):
        typer.echo(f"{len(models)} {kind}: {', '.join(model.name for model in models)}")


@app.command()
def schema(project: ProjectOption = None) -> None:
    """Write include/*/schema.json, which editors read, and the tables of docs/recipes.md."""
    from bakehouse.config.schema import write_schemas, write_tables
    from bakehouse.recipe.model import Recipe

    folder, guide = project_folder(project), "docs/recipes.md"
    files = write_schemas(folder / "include")
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
    """What an image is built on, layer by layer, and what is built on it. From the ledger."""
    from bakehouse.history.ancestry import bakes_by_image, describe
    from bakehouse.history.ledger import Ledger

    base = ledger or ledger_of(project_folder(project))
    events = Ledger(base).events(lambda record: typer.echo(str(record), err=True))
    bakes = bakes_by_image(events)
    if image not in bakes:
        typer.echo(f"the ledger {base} knows no bake of {image}", err=True)
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
    """What differs between two images: packages, kernel, services. Exit code 1 when unknown."""
    from bakehouse.history.diff import diff as compare
    from bakehouse.history.diff import in_full
    from bakehouse.history.manifests import NoManifest, read_manifest

    base = ledger or ledger_of(project_folder(project))
    try:
        before, after = (read_manifest(base, image) for image in (old, new))
    except (NoManifest, ValueError, OSError) as unknown:
        typer.echo(f"{unknown}", err=True)
        raise typer.Exit(1) from None
    found = compare(old, before, new, after)
    typer.echo(found.model_dump_json(indent=2) if as_json else in_full(found))


def ledger_of(project: Path) -> str:
    """Of the stack that stays, where there is one, else of this shell's Airflow."""
    own = project / ".bakehouse" / "up" / "airflow"
    home = own if own.exists() else Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
    return f"file://{home}/ledger"


def project_folder(given: Path | None) -> Path:
    """The folder with dags/: the one given, else this one or the nearest above it."""
    start = (given or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / "airflow_settings.yaml").is_file():
            return folder
    typer.echo(f"{start} is not in a Bakehouse project: airflow_settings.yaml is missing", err=True)
    raise typer.Exit(2)


def recipes_checked(folder: Path) -> tuple[bool, str]:
    from bakehouse.config.project import everything_wrong, read_project

    wrong = everything_wrong(folder / "include")
    if wrong:
        return False, f"{len(wrong)} files have mistakes: make validate"
    return True, f"{len(read_project(folder / 'include').recipes)} are valid"


if __name__ == "__main__":
    app()
