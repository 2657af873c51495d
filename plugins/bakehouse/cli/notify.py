"""`bakehouse notify`: who is notified of what, and whether a message gets through."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated

import typer

from bakehouse.cli.app import ProjectOption, app, fail, project_folder, use_airflow_of
from bakehouse.cli.output import JsonOption, show
from bakehouse.config.folder import INCLUDE

if TYPE_CHECKING:
    from pathlib import Path

    from bakehouse.notify.models import Channel


@app.command()
def notify(
    test: Annotated[
        bool, typer.Option("--test", help="send a message through each; 1 if one fails")
    ] = False,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """List the notifiers of recipes and fleets, and what each reports.

    A test message uses the connections of the stack of `make up`, or of this shell's Airflow.
    """
    folder = project_folder(project)
    channels = _channels(folder)
    rows = [
        {
            "notifier": channel.notifier,
            "of": users,
            "occasions": [occasion.value for occasion in channel.occasions],
            **({"result": _sent(folder, channel)} if test else {}),
        }
        for channel, users in channels
    ]
    show(rows, as_json=as_json, empty="no recipe and no fleet has `notify`: nobody is notified")
    if test and any(row["result"] != SENT for row in rows):
        raise typer.Exit(1)
    if test and rows:
        from bakehouse.notify.send import VARIABLE, switched_on

        if not switched_on():
            fail(f"runs notify nobody: the Airflow Variable {VARIABLE} is not on")


SENT = "sent"


def _channels(folder: Path) -> list[tuple[Channel, list[str]]]:
    """Each channel once, with the files that have it."""
    from bakehouse.config.project import read_project

    found: list[tuple[Channel, list[str]]] = []
    project = read_project(folder / INCLUDE)
    named = [(f"recipes/{one.name}.yaml", one.notify) for one in project.recipes]
    named += [(f"fleets/{one.name}.yaml", one.notify) for one in project.fleets]
    for file, channels in named:
        for channel in channels:
            users = next((users for known, users in found if known == channel), None)
            if users is None:
                found.append((channel, [file]))
            else:
                users.append(file)
    return found


def _sent(folder: Path, channel: Channel) -> str:
    from bakehouse.notify.models import Notification, NotificationEvent

    use_airflow_of(folder)
    message = Notification(
        occasion=NotificationEvent.FAILURE,
        title="a test of Bakehouse's notifications",
        text="Nothing has happened: somebody ran `bakehouse notify --test`.",
        dag_id="bakehouse",
        run_id="notify --test",
        task_id="test",
    )
    with redirect_stdout(sys.stderr):  # Airflow's own log lines are no part of the list
        from bakehouse.notify.send import send

        return send(channel, message) or SENT
