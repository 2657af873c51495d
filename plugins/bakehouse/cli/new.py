"""`bakehouse new`: write files that one changes into one's own."""

from __future__ import annotations

from typing import Annotated

import typer

from bakehouse.cli.app import ProjectOption, app, fail, project_folder
from bakehouse.cli.quick_group import QuickGroup

new = typer.Typer(
    cls=QuickGroup,
    no_args_is_help=True,
    help="Write the files of a new recipe.",
    rich_markup_mode=None,
)
app.add_typer(new, name="new")


def _examples() -> list[str]:
    from bakehouse.config.new_recipe import examples

    return examples()


@new.command()
def recipe(
    name: Annotated[str, typer.Argument(help="at most 35 of a-z, 0-9 and -")],
    example: Annotated[
        str | None,
        typer.Option("--from", help="a recipe of the cookbook", autocompletion=_examples),
    ] = None,
    project: ProjectOption = None,
) -> None:
    """Write include/recipes/NAME.yaml and include/startup_scripts/NAME."""
    from bakehouse.config.new_recipe import CannotCreate, write_recipe

    folder = project_folder(project)
    try:
        files = write_recipe(folder, name, example)
    except CannotCreate as error:
        raise fail(error) from None
    for file in files:
        typer.echo(str(file.relative_to(folder)))
    typer.echo("next: `bakehouse validate`, then commit: a bake reads commits only")
