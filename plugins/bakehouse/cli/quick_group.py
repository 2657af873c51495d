"""A group of commands whose --help imports neither Rich nor Pydantic.

Typer draws boxes with Rich, and converts the values of a group's options with Pydantic even where
none is given: both together take longer than most commands do.
"""

from __future__ import annotations

from inspect import cleandoc
from typing import Any

from typer.core import TyperGroup


class QuickGroup(TyperGroup):
    """Reads its own options only where one is given; lists each command with its whole summary."""

    def __init__(self, **attributes: Any) -> None:
        """Take the arguments of typer's group, without Rich."""
        super().__init__(**{**attributes, "rich_markup_mode": None})

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the name of a command as it is."""
        if not args or args[0] not in self.commands:
            return super().parse_args(ctx, args)
        own, self.params, self.add_help_option = self.params, [], False
        try:
            return super().parse_args(ctx, args)
        finally:
            self.params, self.add_help_option = own, True

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the first paragraph of each command's help."""
        named = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [
            (name, " ".join(cleandoc(command.help or "").partition("\n\n")[0].split()))
            for name, command in named
            if command is not None and not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
