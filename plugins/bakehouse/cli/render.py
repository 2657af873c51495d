"""`bakehouse render`: what a recipe's templates come to, without a machine."""

from __future__ import annotations

from typing import Annotated

import typer

from bakehouse.cli.app import ProjectOption, app, fail, project_folder
from bakehouse.cli.values import key_values
from bakehouse.config.folder import INCLUDE

MetadataOption = Annotated[
    list[str] | None,
    typer.Option("--metadata", "-m", metavar="KEY=VALUE", help="metadata of the instance"),
]


@app.command()
def render(
    recipe: Annotated[str, typer.Argument(help="a recipe's name")],
    metadata: MetadataOption = None,
    scripts: Annotated[
        bool, typer.Option("--scripts", help="the scripts that the builder runs instead")
    ] = False,
    project: ProjectOption = None,
) -> None:
    """Print the configuration files that an instance of RECIPE renders when it boots.

    The files of the work tree are read. The metadata is that of the recipe's smoke test; -m
    replaces it.
    """
    from bakehouse.recipe.preview import boot_files, own_scripts

    include = project_folder(project) / INCLUDE
    try:
        given = key_values(metadata or (), "-m", remedy="write -m greeting=hello")
        rendered = own_scripts(include, recipe) if scripts else boot_files(include, recipe, given)
    except ValueError as error:
        raise fail(error) from None
    for path, text in rendered.items():
        typer.echo(f"── {path}" if scripts else f"── /{path}")
        typer.echo(text.removesuffix("\n"))
