"""`devstack`: the demo, and a stack of localgce and Airflow on this computer.

What a command needs is imported when it runs: --help needs nothing of it.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bakehouse.cli.quick_group import QuickGroup

app = typer.Typer(
    cls=QuickGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class Kind(StrEnum):
    """The kinds of machines."""

    qemu = "qemu"
    instant = "instant"


MachinesOption = Annotated[
    Kind, typer.Option("--machines", help="real machines, or instant ones without a process")
]
StayingOption = Annotated[
    Kind | None, typer.Option("--machines", help="default: as the last time, else real ones")
]
ProjectOption = Annotated[
    Path | None, typer.Option("--project", help="the project's folder; default: this one")
]


@app.command()
def demo(machines: MachinesOption = Kind.qemu, project: ProjectOption = None) -> None:
    """Bake the recipe `web`, roll it out, check both from outside; leave nothing running."""
    from devstack import commands

    commands.demo(machines.value, project)


@app.command("demo-kafka")
def demo_kafka(
    bad_image: Annotated[
        bool, typer.Option("--bad-image", help="Roll out a bad image instead, which goes back")
    ] = False,
    project: ProjectOption = None,
) -> None:
    """Bake Kafka, roll a cluster of three under traffic, kill a broker; leave nothing running."""
    from devstack import commands

    commands.demo_kafka(bad_image, project)


@app.command()
def up(machines: StayingOption = None, project: ProjectOption = None) -> None:
    """Start localgce and Airflow; they run until `devstack down`."""
    from devstack import commands

    commands.up(machines.value if machines else None, project)


@app.command()
def down(project: ProjectOption = None) -> None:
    """Stop what `devstack up` started; images and machines stay."""
    from devstack import commands

    commands.down(project)


@app.command()
def status(project: ProjectOption = None) -> None:
    """Which programs run, and at which URLs. Exit code 1 unless all do."""
    from devstack import commands

    commands.status(project)


@app.command()
def doctor(project: ProjectOption = None) -> None:
    """What the stack needs on this computer: disk, QEMU. Exit code 1 when something is missing."""
    from devstack import commands

    commands.doctor(project)


if __name__ == "__main__":
    app()
