"""`bakehouse`: the demo, a stack that stays, and what can be said about both."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from devstack import machines
from devstack.health import Health, Unhealthy, starts
from devstack.layout import Busy, Layout, Record, locked
from devstack.machines import Choice
from devstack.report import Report
from devstack.settings import SettingsError
from devstack.signals import Ended, ending_raises
from devstack.stack import Stack, StackError

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
    from devstack.demo import Demo, DemoFailed, play

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
