"""`bakehouse adopt`: a fleet file from instances that run."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated

import typer

from bakehouse.cli.app import ProjectOption, app, fail, project_folder, use_airflow_of
from bakehouse.config.folder import INCLUDE

if TYPE_CHECKING:
    from pathlib import Path

    from bakehouse.rollout.adoption import Adoption


@app.command()
def adopt(
    fleet: Annotated[str, typer.Argument(help="the name of the new fleet")],
    recipe: Annotated[str, typer.Option(help="the recipe whose images they are to run")],
    zone: Annotated[list[str], typer.Option(help="a zone; may be given again")],
    member: Annotated[
        list[str] | None, typer.Option(help="the name of an instance; may be given again")
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="key=value; instances that have all of them")
    ] = None,
    connection: Annotated[
        str, typer.Option(help="the connection of Google Cloud")
    ] = "google_cloud_default",
    stdout: Annotated[bool, typer.Option("--stdout", help="print the file, write none")] = False,
    project: ProjectOption = None,
) -> None:
    """Write include/fleets/FLEET.yaml from instances, and say what would hinder their rollouts.

    Nothing is changed in Google Cloud. Secrets in metadata are not copied. Exit code 1 if there is
    no such instance, a fleet file of this name, or a mistake in what was written.
    """
    from bakehouse.fleet.load import load_fleet
    from bakehouse.recipe.mistakes import Mistakes

    if bool(member) == bool(label):
        raise fail("name the instances: --member, or --label", 2)
    folder = project_folder(project)
    file = folder / INCLUDE / "fleets" / f"{fleet}.yaml"
    if file.exists() and not stdout:
        raise fail(f"{file} is there: choose another name, or remove it")
    made = _adopted(folder, fleet, recipe, zone, member or [], label or [], connection)
    if stdout:
        typer.echo(made.text, nl=False)
    else:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(made.text, encoding="utf-8")
        typer.echo(f"written: {file}")
    for remark in made.remarks:
        typer.echo(str(remark), err=True)
    try:
        load_fleet(made.text, f"include/fleets/{fleet}.yaml")
    except Mistakes as wrong:
        raise fail(wrong) from None


def _adopted(
    folder: Path,
    fleet: str,
    recipe: str,
    zones: list[str],
    names: list[str],
    labels: list[str],
    connection: str,
) -> Adoption:
    from bakehouse.core.errors import BakehouseError

    use_airflow_of(folder)
    with redirect_stdout(sys.stderr):
        from bakehouse.cloud.compute_hook import hook_of
        from bakehouse.fleet.members import Members
        from bakehouse.rollout import members
        from bakehouse.rollout.adoption import adopt as adopted

        try:
            wanted = Members.model_validate(
                {"zones": zones, "instances": names}
                if names
                else {"zones": zones, "labels": dict(one.split("=", 1) for one in labels)}
            )
        except ValueError as wrong:
            raise fail(wrong, 2) from None
        try:
            hook = hook_of(connection)
            found, missing = members.instances(hook, wanted)
            if missing or not found:
                who = ", ".join(missing) or f"with the labels {', '.join(labels)}"
                raise fail(f"there is no instance {who} in {', '.join(zones)}")
            return adopted(fleet, recipe, found, members.around(hook, zones))
        except BakehouseError as refused:
            raise fail(refused) from None
