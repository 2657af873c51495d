"""`bakehouse verify`: whether an image is the one that was signed."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated

import typer

from bakehouse.cli.app import (
    LedgerOption,
    ProjectOption,
    app,
    fail,
    ledger_of,
    project_folder,
    use_airflow_of,
)
from bakehouse.cli.output import JsonOption

if TYPE_CHECKING:
    from pathlib import Path

    from bakehouse.images.attestation import ImageVerdict

EXIT_CODES = {"verified": 0, "refused": 1, "unsigned": 3}


@app.command()
def verify(
    image: Annotated[str, typer.Argument(help="an image's name or id")],
    machine_image: Annotated[bool, typer.Option("--machine-image", help="of this kind")] = False,
    connection: Annotated[
        str, typer.Option(help="the connection of Google Cloud")
    ] = "google_cloud_default",
    as_json: JsonOption = False,
    ledger: LedgerOption = None,
    project: ProjectOption = None,
) -> None:
    """Compare an image with its signed statements, a line for each check; nothing is changed.

    It reads the image from Compute Engine, and the keys from the Variables, by the stack of
    `make up` or this shell's Airflow. Exit codes: 0 it is as it was signed, 1 a rollout refuses it,
    3 it is not signed and let through, 2 it could not be checked.
    """
    folder = project_folder(project)
    kind = "machine_image" if machine_image else "custom_image"
    verdict = _verdict(folder, image, kind, connection, ledger or ledger_of(folder))
    if as_json:
        typer.echo(verdict.model_dump_json(indent=2))
    else:
        for check in verdict.checks:
            typer.echo(str(check))
        typer.echo(f"{verdict.image} is {verdict.state}: {verdict.reason}")
    raise typer.Exit(EXIT_CODES[verdict.state])


def _verdict(folder: Path, image: str, kind: str, connection: str, ledger: str) -> ImageVerdict:
    from bakehouse.core.errors import BakehouseError

    use_airflow_of(folder)
    with redirect_stdout(sys.stderr):  # Airflow's own log lines are no part of the answer
        from bakehouse.cloud.compute_hook import hook_of
        from bakehouse.cloud.image_client import image_client
        from bakehouse.history.attestations import Attestations
        from bakehouse.history.signing_keys import read_trust
        from bakehouse.images.attestation import facts_of

        try:
            hook = hook_of(connection)
            found = image_client(hook, kind).get(image)
            if found is None:
                raise fail(f"no {kind.replace('_', ' ')} {image} exists in {hook.project}", 2)
            return Attestations(ledger, read_trust(connection)).verdict(facts_of(found))
        except BakehouseError as unknown:
            raise fail(unknown, 2) from None
