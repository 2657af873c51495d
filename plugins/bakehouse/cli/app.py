"""The application that all commands register with, and the options that they share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bakehouse.cli.quick_group import QuickGroup
from bakehouse.config.folder import NotAProject, find_project

if TYPE_CHECKING:
    from bakehouse.history.events import LedgerEvent

app = typer.Typer(
    cls=QuickGroup, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None
)

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


def _print_version(*, wanted: bool) -> None:
    if wanted:
        from bakehouse import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", help="print the version", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    """Machine images from git, baked and rolled out by Airflow."""


def ledger_of(project: Path) -> str:
    """The ledger of the stack of `make up`, if there is one, else of this shell's Airflow."""
    own = project / ".bakehouse" / "up" / "airflow"
    home = own if own.exists() else Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
    return f"file://{home}/ledger"


def ledger_events(given: str | None, project: Path | None) -> tuple[str, list[LedgerEvent]]:
    """The URL of the ledger and its events; records that cannot be read go to standard error."""
    from bakehouse.history.ledger import Ledger

    base = given or ledger_of(project_folder(project))
    return base, Ledger(base).events(lambda record: typer.echo(str(record), err=True))


def project_folder(given: Path | None) -> Path:
    """The folder given, else this one or the nearest project above it."""
    try:
        return find_project(given or Path.cwd())
    except NotAProject as error:
        raise fail(error, 2) from None
    except FileNotFoundError:
        raise fail("this folder does not exist any more: go to another one", 2) from None


def use_airflow_of(project: Path) -> None:
    """Take the environment of the stack of `make up`, if there is one, else this shell's Airflow.

    Variables and connections are read as Airflow's own programs read them, from its database too.
    """
    from bakehouse.config.running_stack import stack_environment

    os.environ.update(stack_environment(project) or {})
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")


def fail(message: object, code: int = 1) -> typer.Exit:
    """Print the message to standard error; returns what the command raises."""
    typer.echo(f"{message}", err=True)
    return typer.Exit(code)
