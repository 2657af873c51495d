"""Commands about the freeze: the Variable that keeps every fleet and every family as it is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from bakehouse.cli.app import ProjectOption, app, fail, project_folder

if TYPE_CHECKING:
    from pathlib import Path

    from bakehouse.core.freeze import Freeze


@app.command()
def freeze(
    who: Annotated[
        str | None, typer.Argument(help="your name; without it: print what is on")
    ] = None,
    why: Annotated[list[str] | None, typer.Argument(help="the reason")] = None,
    project: ProjectOption = None,
) -> None:
    """Stop every rollout before its next member, and every promotion, within 30 seconds."""
    from bakehouse.core.freeze import Freeze, parse_freeze

    if who is None:
        typer.echo(_told(parse_freeze(_variable(project, None))))
        return
    wanted = Freeze(who=" ".join(who.split()), why=" ".join(" ".join(why or ()).split()))
    if not wanted.who or not wanted.why:
        raise fail("say who and why, such as: bakehouse freeze ann 'the quarter ends'", 2)
    _variable(project, wanted.to_json())
    typer.echo(_told(wanted))


@app.command()
def unfreeze(project: ProjectOption = None) -> None:
    """End the freeze: what waits goes on within seconds."""
    before = _variable(project, "")
    from bakehouse.core.freeze import parse_freeze

    found = parse_freeze(before)
    typer.echo(f"not frozen any more; it was {found}" if found else "nothing was frozen")


def _told(found: Freeze | None) -> str:
    return str(found) if found is not None else "not frozen"


def _variable(project: Path | None, value: str | None) -> str | None:
    """Return what the Variable said; set it to a value, or delete it with an empty one."""
    from bakehouse.config.airflow_client import AirflowClient, AirflowRefused
    from bakehouse.config.running_stack import NoStack, server_of
    from bakehouse.core.freeze import VARIABLE

    try:
        with AirflowClient(server_of(project_folder(project), os.environ)) as client:
            before = client.variable(VARIABLE)
            if value:
                client.set_variable(VARIABLE, value, known=before is not None)
            elif value is not None and before is not None:
                client.delete_variable(VARIABLE)
            return before
    except (NoStack, AirflowRefused) as refused:
        raise fail(refused) from None
