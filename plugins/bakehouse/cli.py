"""`bakehouse`: the demo, a stack that stays, and what can be said about both."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bakehouse.local import machines
from bakehouse.local.health import Health, Unhealthy, starts
from bakehouse.local.layout import Busy, Layout, Record, locked
from bakehouse.local.machines import Choice
from bakehouse.local.report import Report
from bakehouse.local.settings import SettingsError
from bakehouse.local.signals import Ended, ending_raises
from bakehouse.local.stack import Stack, StackError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

DISK_GB = 6  # public image, its cache, a builder's disk and Airflow


class Kind(StrEnum):
    qemu = "qemu"
    instant = "instant"


MachinesOption = Annotated[
    Kind, typer.Option("--machines", help="real machines, or ones without a process")
]
StayingOption = Annotated[
    Kind | None, typer.Option("--machines", help="as the last time, unless told; else real ones")
]
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
def demo(machines: MachinesOption = Kind.qemu, project: ProjectOption = None) -> None:
    """Bake the recipe `web`, check the image from outside, leave nothing running."""
    from bakehouse.local.demo import Demo, DemoFailed, play

    folder = project_folder(project)
    report = Report()
    state = folder / ".bakehouse" / "demo"
    with guarded(report), ending_raises(), locked(Layout(state)):
        try:
            play(Demo(folder, state, chosen(machines, report), report))
        except DemoFailed as error:
            for line in str(error).splitlines():
                report.line(line, "red")
            report.line(f"the logs are in {state}", "dim")
            raise typer.Exit(1) from None
        report.line("done", "green")


@app.command()
def up(machines: StayingOption = None, project: ProjectOption = None) -> None:
    """Start localgce and Airflow, to stay until `bakehouse down`."""
    folder = project_folder(project)
    report = Report()
    layout = up_layout(folder)
    with guarded(report), ending_raises(), locked(layout):
        record = Record.read(layout)
        if record is not None and standing(folder, record).health().ok:
            report.line("is up already")
        else:
            choice = chosen(machines or Kind(record.machines if record else "qemu"), report)
            same_kind(record, choice, layout)
            if choice.machines == "qemu":
                make_public_image(report)
            stack = Stack(
                folder,
                layout.state,
                choice.machines,
                choice.guest,
                stays=True,
                progress=report.line,
            )
            stack.start()
    tell_address(folder, report)


@app.command()
def down(project: ProjectOption = None) -> None:
    """Stop what `bakehouse up` started; what was baked stays."""
    folder = project_folder(project)
    report = Report()
    layout = up_layout(folder)
    with guarded(report), locked(layout):
        record = Record.read(layout)
        left = standing(folder, record).stop() if record else []
    if left:
        report.line(f"does not end: {'; '.join(left)}", "red")
        raise typer.Exit(1)
    report.line("nothing runs", "green")


@app.command()
def status(project: ProjectOption = None) -> None:
    """What of the stack runs, and where it answers. Exit code 1 when something does not."""
    folder = project_folder(project)
    report = Report()
    layout = up_layout(folder)
    record = Record.read(layout)
    health = standing(folder, record).health() if record else None
    if record is None or health is None:
        report.line("no stack: `make up` starts one")
        raise typer.Exit(1)
    show(health, layout, report)
    if not health.ok:
        raise typer.Exit(1)
    tell_address(folder, report)


@app.command()
def doctor(project: ProjectOption = None) -> None:
    """What this machine can do, and what is missing. Exit code 1 when something is."""
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
    from bakehouse.local.settings import load_settings
    from bakehouse.project import everything_wrong, read_project

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
    from bakehouse.recipe.model import Recipe
    from bakehouse.schema import write_schemas, write_tables

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
    from bakehouse.history.ancestry import bakes_of, describe
    from bakehouse.history.ledger import Ledger

    base = ledger or ledger_of(project_folder(project))
    bakes = bakes_of(Ledger(base).events())
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
    own = up_layout(project).airflow_home
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


def up_layout(project: Path) -> Layout:
    return Layout(project / ".bakehouse" / "up")


def standing(project: Path, record: Record) -> Stack:
    return Stack(project, up_layout(project).state, record.machines, stays=True)


def chosen(wanted: Kind, report: Report) -> Choice:
    choice = machines.choose(wanted.value)
    if choice.why:
        report.line(f"instant machines, as real ones cannot be had: {choice.why}", "yellow")
    elif choice.machines == "instant":
        report.line("instant machines: no process behind them, the same API and DAG", "yellow")
    return choice


def same_kind(record: Record | None, choice: Choice, layout: Layout) -> None:
    """What one kind of machine has baked, the other cannot boot."""
    if record is not None and record.machines != choice.machines:
        raise StackError(
            f"{layout.state} holds what {record.machines} machines have baked; "
            f"remove that folder to begin anew with {choice.machines} ones"
        )


def make_public_image(report: Report) -> None:
    report.headline("the public image")
    machines.make_public_image(report.line)


def tell_address(project: Path, report: Report) -> None:
    record = Record.read(up_layout(project))
    if record is not None:
        stack = standing(project, record)
        report.line(f"Airflow   {record.airflow_url}   {stack.user} / {stack.password}", "bold")
        report.line(f"localgce  {record.gce_url}   project {record.gce_project}")
        report.line("`make down` stops it")


def show(health: Health, layout: Layout, report: Report) -> None:
    for check in health.checks:
        times = starts(layout, check.name)
        again = f", started {times} times" if times > 1 else ""
        mark = "ok " if check.ok else "NOT"
        report.line(f"{check.name:<14} {mark}  {check.detail}{again}", "" if check.ok else "red")


def recipes_checked(folder: Path) -> tuple[bool, str]:
    from bakehouse.project import everything_wrong, read_project

    wrong = everything_wrong(folder / "include")
    if wrong:
        return False, f"{len(wrong)} files have mistakes: make validate"
    return True, f"{len(read_project(folder / 'include').recipes)} are valid"


@contextmanager
def guarded(report: Report) -> Generator[None]:
    """Turns what can go wrong into one line and an exit code."""
    try:
        yield
    except typer.Exit:
        raise
    except Ended as ended:
        report.quiet()
        report.line(f"ended by {ended}", "yellow")
        raise typer.Exit(ended.code) from None
    except (Busy, SettingsError, StackError, Unhealthy, RuntimeError) as error:
        report.quiet()
        for line in str(error).splitlines():
            report.line(line, "red")
        raise typer.Exit(1) from None


if __name__ == "__main__":
    app()
