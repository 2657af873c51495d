"""`bakehouse plan`: what a rollout would do, before anybody starts it."""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bakehouse.cli.app import LedgerOption, ProjectOption, app, fail, ledger_of, project_folder
from bakehouse.cli.output import JsonOption
from bakehouse.config.folder import INCLUDE

if TYPE_CHECKING:
    from pathlib import Path

    from bakehouse.fleet.model import Fleet
    from bakehouse.rollout.plan import RolloutPlan


@app.command()
def plan(
    fleet: Annotated[str, typer.Argument(help="a fleet of include/fleets")],
    image: Annotated[
        str, typer.Option(help="name, id or git hash of an image; default: the newest promoted one")
    ] = "",
    only: Annotated[
        list[str] | None, typer.Option("--member", help="only this member; may be given again")
    ] = None,
    connection: Annotated[
        str, typer.Option(help="the connection of Google Cloud")
    ] = "google_cloud_default",
    as_json: JsonOption = False,
    ledger: LedgerOption = None,
    project: ProjectOption = None,
) -> None:
    """Print what a rollout of an image would do now: order, packages, ways back, blockers, end.

    Nothing is changed. It reads the fleet's file as it is here, and Compute Engine by the
    connection of the stack of `make up`, or of this shell's Airflow. Exit code 1 if the rollout
    would fail.
    """
    folder = project_folder(project)
    found = _fleet(folder, fleet)
    made = _planned(folder, found, image, only or [], connection, ledger or ledger_of(folder))
    if as_json:
        typer.echo(made.model_dump_json(indent=2))
    else:
        from bakehouse.rollout.plan_text import plan_lines

        for line in plan_lines(made):
            typer.echo(line)
    if made.refused:
        raise typer.Exit(1)


def _fleet(folder: Path, name: str) -> Fleet:
    from bakehouse.config.project import read_project
    from bakehouse.core.nearest import did_you_mean

    project = read_project(folder / INCLUDE)
    for broken in project.broken_fleets:
        if broken.mistakes[0].file.endswith(f"/{name}.yaml"):
            raise fail("\n".join(map(str, broken.mistakes)))
    fleets = {fleet.name: fleet for fleet in project.fleets}
    if name not in fleets:
        near = did_you_mean(name, fleets)
        raise fail(f"there is no fleet {name}: no file include/fleets/{name}.yaml{near}")
    return fleets[name]


def _planned(
    folder: Path, fleet: Fleet, image: str, only: list[str], connection: str, ledger: str
) -> RolloutPlan:
    from bakehouse.config.running_stack import stack_environment
    from bakehouse.core.errors import BakehouseError

    os.environ.update(stack_environment(folder) or {})
    # connections are read as Airflow's own programs read them, from its database too
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    with redirect_stdout(sys.stderr):  # Airflow's own log lines are no part of the plan
        from bakehouse.cloud.compute_hook import hook_of
        from bakehouse.rollout import members
        from bakehouse.rollout.mig_planning import make_group_plan
        from bakehouse.rollout.planning import lease_blockers, make_plan

        try:
            hook = hook_of(connection)
            wanted = image.strip()
            goal = members.choose(
                hook, fleet.recipe, wanted, by_person=bool(wanted), fleet=fleet.name
            )
            held = lease_blockers(ledger, fleet.name)
            given: Any = {"only": only, "plan_only": True, "blockers": held}
            if fleet.strategy == "mig":
                made, remarks = make_group_plan(hook, fleet, "plan", goal, ledger, **given)
                for remark in remarks:
                    typer.echo(remark, err=True)
            else:
                made = make_plan(hook, fleet, "plan", goal, ledger, **given)
        except BakehouseError as refused:
            raise fail(refused) from None
    return made
