"""The application that all commands register with, and the options that they share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from bakehouse.config.folder import NotAProject, find_project

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
