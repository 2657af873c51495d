"""Tables for people, JSON for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

JsonOption = Annotated[bool, typer.Option("--json", help="as data, for programs")]

_NO_TERMINAL = 10_000  # columns: a pipe has no width, and a cut value is a wrong one


def show(rows: Sequence[Mapping[str, Any]], *, as_json: bool, empty: str) -> None:
    """Print rows that have the same keys, which are the titles of the columns.

    Args:
        rows: The values as JSON has them.
        as_json: Print a list of objects.
        empty: The line that is printed, to standard error, where a table would have no rows.
    """
    if as_json:
        typer.echo(json.dumps(list(rows), indent=2, ensure_ascii=False))
    elif not rows:
        typer.echo(empty, err=True)
    else:
        _table(rows)


def _table(rows: Sequence[Mapping[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_edge=False)
    for title in rows[0]:
        table.add_column(title.replace("_", " ").upper(), overflow="fold")
    for row in rows:
        table.add_row(*(Text(_words(value)) for value in row.values()))
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console = Console(markup=False, highlight=False, width=_NO_TERMINAL)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        typer.echo(line.rstrip())


def _words(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "-"
    return str(value) or "-"
