"""The command about the custom roles of Bakehouse's service accounts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bakehouse.cli.app import app, fail


@app.command()
def roles(
    folder: Annotated[Path, typer.Argument(help="where the files are written")],
    without: Annotated[
        list[str] | None,
        typer.Option(help="what is not used, such as 'machine images'; may be repeated"),
    ] = None,
) -> None:
    """Write the roles of the service accounts, one file each for `gcloud iam roles create`."""
    import yaml

    from bakehouse.cloud.permissions import UnknownUse, role_definitions

    try:
        found = role_definitions(tuple(without or ()))
    except UnknownUse as error:
        raise fail(f"--without {error}", 2) from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for role, definition in found.items():
            text = yaml.safe_dump(definition, sort_keys=False)
            (folder / f"{role}.yaml").write_text(text, encoding="utf-8")
    except OSError as error:
        raise fail(f"{folder} cannot be written: {error}") from None
    for role, definition in found.items():
        permissions = len(definition["includedPermissions"])
        typer.echo(f"{folder / role}.yaml: {permissions} permissions")
