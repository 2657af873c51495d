"""Commands about what the ledger knows of images."""

from __future__ import annotations

from typing import Annotated

import typer

from bakehouse.cli.app import LedgerOption, ProjectOption, app, ledger_of, project_folder


@app.command()
def ancestry(
    image: Annotated[str, typer.Argument(help="an image's name")],
    ledger: LedgerOption = None,
    project: ProjectOption = None,
) -> None:
    """The images that an image is based on, and those that are based on it. From the ledger."""
    from bakehouse.history.ancestry import bakes_by_image, describe
    from bakehouse.history.ledger import Ledger

    base = ledger or ledger_of(project_folder(project))
    events = Ledger(base).events(lambda record: typer.echo(str(record), err=True))
    bakes = bakes_by_image(events)
    if image not in bakes:
        typer.echo(f"the ledger {base} has no bake of {image}", err=True)
        raise typer.Exit(1)
    for line in describe(image, bakes):
        typer.echo(line)


@app.command()
def diff(
    old: Annotated[str, typer.Argument(help="the name of an image")],
    new: Annotated[str, typer.Argument(help="the name of another")],
    as_json: Annotated[bool, typer.Option("--json", help="as data")] = False,
    ledger: LedgerOption = None,
    project: ProjectOption = None,
) -> None:
    """The differences of two images: packages, kernel, services. Exit code 1 when unknown."""
    from bakehouse.history.diff import diff_images, full_report
    from bakehouse.history.manifest_store import ManifestNotFound, read_manifest

    base = ledger or ledger_of(project_folder(project))
    try:
        before, after = (read_manifest(base, image) for image in (old, new))
    except (ManifestNotFound, ValueError, OSError) as unknown:
        typer.echo(f"{unknown}", err=True)
        raise typer.Exit(1) from None
    found = diff_images(old, before, new, after)
    typer.echo(found.model_dump_json(indent=2) if as_json else full_report(found))
