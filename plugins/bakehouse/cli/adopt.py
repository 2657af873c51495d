"""`bakehouse adopt`: a fleet file from instances that run."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated

import typer

from bakehouse.cli.app import ProjectOption, app, fail, project_folder, use_airflow_of
from bakehouse.cli.values import BadValue, key_values
from bakehouse.config.folder import INCLUDE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydantic import ValidationError

    from bakehouse.fleet.members import Members
    from bakehouse.rollout.adoption import Adoption

_OPTIONS = {
    "fleet": "FLEET",
    "recipe": "--recipe",
    "zones": "--zone",
    "instances": "--member",
    "labels": "--label",
}


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
    wanted = _wanted(fleet, recipe, zone, member or [], label or [])
    folder = project_folder(project)
    file = folder / INCLUDE / "fleets" / f"{fleet}.yaml"
    if file.exists() and not stdout:
        raise fail(f"{file} is there: choose another name, or remove it")
    made = _adopted(folder, fleet, recipe, wanted, connection)
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


def _wanted(
    fleet: str, recipe: str, zones: list[str], names: list[str], labels: list[str]
) -> Members:
    """The instances that are asked for; all that is wrong in the question is one line."""
    from pydantic import ValidationError

    from bakehouse.rollout.adoption_request import AdoptionRequest

    told: list[str] = []
    form: dict[str, object] = {"fleet": fleet, "recipe": recipe}
    form |= {"zones": zones, "instances": names}
    try:
        form["labels"] = key_values(labels, "--label", remedy="write --label env=prod")
    except BadValue as bad:
        told.append(str(bad))
    try:
        members = AdoptionRequest.model_validate(form).members()
    except ValidationError as wrong:
        told += _told(wrong)
    if told:
        raise fail("; ".join(told), 2)
    return members


def _told(wrong: ValidationError) -> Iterator[str]:
    from bakehouse.core.problems import problem_of

    for error in wrong.errors(include_url=False):
        if error["type"] != "too_short":  # of entries that are told of already
            yield f"{_OPTIONS[str(error['loc'][0])]} {error['input']!r} {problem_of(error)}"


def _adopted(
    folder: Path,
    fleet: str,
    recipe: str,
    wanted: Members,
    connection: str,
) -> Adoption:
    from bakehouse.core.errors import BakehouseError

    use_airflow_of(folder)
    with redirect_stdout(sys.stderr):
        from bakehouse.cloud.compute_hook import hook_of
        from bakehouse.rollout import members
        from bakehouse.rollout.adoption import adopt as adopted

        try:
            hook = hook_of(connection)
            found, missing = members.instances(hook, wanted)
            if missing or not found:
                labels = ", ".join(f"{key}={value}" for key, value in (wanted.labels or {}).items())
                who = ", ".join(missing) or f"with the labels {labels}"
                raise fail(f"there is no instance {who} in {', '.join(wanted.zones)}")
            return adopted(fleet, recipe, found, members.around(hook, wanted.zones))
        except BakehouseError as refused:
            raise fail(refused) from None
