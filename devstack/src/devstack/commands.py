"""What the commands of `devstack` do."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bakehouse.config.airflow_settings import SettingsError
from bakehouse.config.folder import NotAProject, find_project
from devstack import doctor as checks
from devstack import machines as machine_kinds
from devstack.layout import Layout
from devstack.lock import Busy, locked
from devstack.program_logs import starts
from devstack.record import Record
from devstack.report import Report
from devstack.signals import Ended, ending_raises
from devstack.stack import Stack, StackError
from devstack.startup import Unhealthy

if TYPE_CHECKING:
    from collections.abc import Generator

    from devstack.demo import AnyDemo, Step
    from devstack.health import Health
    from devstack.machines import Choice
    from devstack.record import Machines

EXAMPLE = "web"  # the recipe and the fleet of this repository


def demo(machines: Machines, project: Path | None) -> None:
    """Bake the recipe `web`, roll it out, check both from outside; leave nothing running."""
    from devstack.demo import STEPS
    from devstack.demo_model import Demo

    folder = project_folder(project)
    report = Report()
    state = folder / ".bakehouse" / "demo"
    with guarded(report), ending_raises(), locked(Layout(state)):
        played(Demo(folder, state, chosen(machines, report), report), STEPS)


def demo_kafka(bad_image: bool, project: Path | None) -> None:
    """A Kafka cluster on QEMU machines, rolled under traffic; leave nothing running."""
    from devstack.kafka.demo import BAD_IMAGE, ROLL, KafkaDemo
    from devstack.kafka.demo_project import BAD, NEXT, copy_project

    folder = project_folder(project)
    report = Report()
    place = folder / ".bakehouse" / "demo-kafka"
    with guarded(report), ending_raises(), locked(Layout(place / "state")):
        able, words = machine_kinds.doctor()
        if not able:
            reason = machine_kinds.reason(words)
            report.line(f"this demo needs real machines, which cannot run here: {reason}", "red")
            raise typer.Exit(1)
        versions = copy_project(folder, place / "project")
        choice = machine_kinds.Choice("qemu", "")
        demo = KafkaDemo(
            place / "project", place / "state", choice, report, versions, BAD if bad_image else NEXT
        )
        played(demo, BAD_IMAGE if bad_image else ROLL)


def played(demo: AnyDemo, steps: tuple[Step[AnyDemo], ...]) -> None:
    """Play a demo; a claim that does not hold ends it with exit code 1."""
    from devstack.demo import play
    from devstack.demo_model import DemoFailed

    try:
        play(demo, steps)
    except DemoFailed as error:
        for line in str(error).splitlines():
            demo.report.line(line, "red")
        demo.report.line(f"the logs are in {demo.state}", "dim")
        raise typer.Exit(1) from None
    demo.report.line("done", "green")


def up(machines: Machines | None, project: Path | None) -> None:
    """Start localgce and Airflow; they run until `devstack down`."""
    folder = project_folder(project)
    report = Report()
    layout = up_layout(folder)
    with guarded(report), ending_raises(), locked(layout):
        record = Record.read(layout)
        if record is not None and staying_stack(folder, record).health().ok:
            report.line("is up already")
        else:
            choice = chosen(machines or (record.machines if record else "qemu"), report)
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
    print_addresses(folder, report)
    print_next_steps(folder, report)


def down(project: Path | None) -> None:
    """Stop what `devstack up` started; images and machines stay."""
    folder = project_folder(project)
    report = Report()
    layout = up_layout(folder)
    with guarded(report), locked(layout):
        record = Record.read(layout)
        left = staying_stack(folder, record).stop() if record else []
    if left:
        report.line(f"these processes do not end: {'; '.join(left)}", "red")
        raise typer.Exit(1)
    report.line("nothing runs", "green")


def status(project: Path | None) -> None:
    """Which programs run, and at which URLs. Exit code 1 unless all do."""
    folder = project_folder(project)
    report = Report()
    layout = up_layout(folder)
    record = Record.read(layout)
    health = staying_stack(folder, record).health() if record else None
    if record is None or health is None:
        report.line("no stack: `make up` starts one")
        raise typer.Exit(1)
    show(health, layout, report)
    if not health.ok:
        raise typer.Exit(1)
    print_addresses(folder, report)


def doctor(project: Path | None) -> None:
    """What the stack needs on this computer: disk, QEMU. Exit code 1 when something is missing."""
    report = Report()
    found = checks.examine(project_folder(project))
    for check in found:
        mark = "ok " if check.ok else "NOT"
        report.line(f"{check.name:<14} {mark}  {check.detail}", "" if check.ok else "red")
        for line in check.output.splitlines():
            report.line(f"    {line}", "dim")
    if not all(check.ok for check in found):
        raise typer.Exit(1)


def project_folder(given: Path | None) -> Path:
    """The folder given, else this one or the nearest project above it."""
    try:
        return find_project(given or Path.cwd())
    except NotAProject as error:
        typer.echo(f"{error}", err=True)
        raise typer.Exit(2) from None


def up_layout(project: Path) -> Layout:
    """The files of the stack that `devstack up` leaves running."""
    return Layout(project / ".bakehouse" / "up")


def staying_stack(project: Path, record: Record) -> Stack:
    """The stack that `devstack up` starts, with machines of the kind of its record."""
    return Stack(project, up_layout(project).state, record.machines, stays=True)


def chosen(wanted: Machines, report: Report) -> Choice:
    """The machines that can run here; tells why they are not of the wanted kind."""
    choice = machine_kinds.choose(wanted)
    if choice.why:
        report.line(f"instant machines, since real ones cannot run here: {choice.why}", "yellow")
    elif choice.machines == "instant":
        report.line(
            "instant machines: same API and DAGs; they install nothing and check nothing", "yellow"
        )
    return choice


def same_kind(record: Record | None, choice: Choice, layout: Layout) -> None:
    """One kind of machine cannot boot the images of the other."""
    if record is not None and record.machines != choice.machines:
        raise StackError(
            f"{layout.state} holds images of {record.machines} machines; "
            f"remove that folder to start again with {choice.machines} ones"
        )


def make_public_image(report: Report) -> None:
    """Make the image that recipes are built on, unless it exists."""
    report.headline("the public image")
    machine_kinds.make_public_image(report.line)


def print_addresses(project: Path, report: Report) -> None:
    """Print the addresses of the stack and its password."""
    record = Record.read(up_layout(project))
    if record is not None:
        stack = staying_stack(project, record)
        report.line(f"Airflow   {record.airflow_url}   {stack.user} / {stack.password}", "bold")
        report.line(f"localgce  {record.gce_url}   project {record.gce_project}")


def print_next_steps(project: Path, report: Report) -> None:
    """Print what to do with the stack: bake, look, change, roll back."""
    from bakehouse.config.folder import INCLUDE
    from bakehouse.config.project import read_project

    record = Record.read(up_layout(project))
    recipes = [recipe.name for recipe in read_project(project / INCLUDE).recipes]
    if record is None or not recipes:
        return
    name = EXAMPLE if EXAMPLE in recipes else recipes[0]
    program = Path(sys.executable).with_name("bakehouse")
    bakehouse = program.relative_to(Path.cwd()) if program.is_relative_to(Path.cwd()) else program
    report.headline("next")
    if record.machines == "instant":
        report.line(
            "instant machines install and check nothing: a bake shows the steps only", "yellow"
        )
    for what, command in (
        ("bake, and roll out", f"{bakehouse} trigger bake__{name} --wait"),
        ("watch it", f"{record.airflow_url}/dags/bake__{name}"),
        ("what it came to", f"{bakehouse} images; {bakehouse} rollouts"),
        ("the logs", f"{bakehouse} logs bake__{name}"),
        ("change it", f"edit include/startup_scripts/{name}, commit, bake again"),
        ("try it uncommitted", f"{bakehouse} run {name} -p 8080:8080"),
        ("an older image", f"{bakehouse} trigger roll_out__{name} image=NAME --wait"),
        ("your own recipe", f"{bakehouse} new recipe NAME --from postgres"),
        ("stop", "make down"),
    ):
        report.line(f"{what:<20} {command}")


def show(health: Health, layout: Layout, report: Report) -> None:
    """Print each check of the stack on a line."""
    for check in health.checks:
        times = starts(layout, check.name)
        again = f", started {times} times" if times > 1 else ""
        mark = "ok " if check.ok else "NOT"
        report.line(f"{check.name:<14} {mark}  {check.detail}{again}", "" if check.ok else "red")


@contextmanager
def guarded(report: Report) -> Generator[None]:
    """Turns every expected error into one line and an exit code."""
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
