"""The output for people: lines with a time stamp, and a status line on a terminal."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.status import Status

MARKS = {"success": "green", "failed": "red", "skipped": "yellow", "upstream_failed": "red"}


class Report:
    """Lines go to standard output. A terminal that is gone never stops the caller."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)
        self.began = time.monotonic()
        self._status: Status | None = None

    @property
    def seconds(self) -> float:
        """Seconds since the report began."""
        return time.monotonic() - self.began

    def line(self, text: str, style: str = "") -> None:
        """One line; `text` is printed as it is, brackets too."""
        stamp = f"{self.seconds:5.0f} s  "
        body = escape(text)
        self._print(f"[dim]{stamp}[/dim]" + (f"[{style}]{body}[/{style}]" if style else body))

    def headline(self, text: str) -> None:
        """Print a line in bold."""
        self.line(text, "bold")

    def table(self, title: str, rows: Sequence[tuple[str, str]]) -> None:
        """Print a table of names and values."""
        table = Table(title=title, show_header=False, title_justify="left")
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in rows:
            table.add_row(escape(name), escape(value))
        self._print(table)

    def now(self, text: str) -> None:
        """Set the status line of a terminal; nothing elsewhere."""
        if not self.console.is_terminal:
            return
        with contextlib.suppress(OSError):
            if self._status is None:
                self._status = self.console.status("")
                self._status.start()
            self._status.update(escape(text[: max(20, self.console.width - 4)]))

    def quiet(self) -> None:
        """Remove the status line."""
        if self._status is not None:
            with contextlib.suppress(OSError):
                self._status.stop()
            self._status = None

    def states(self, task: str, state: str, seconds: float | None) -> None:
        """A task has changed its state."""
        took = "" if seconds is None else f"{seconds:8.1f} s"
        self.line(f"{task:<20} {state:<16}{took}", MARKS.get(state, ""))

    def _print(self, what: object) -> None:
        with contextlib.suppress(OSError):
            self.console.print(what)


def seconds_of(steps: Mapping[str, float]) -> str:
    """Steps with their seconds, one a line."""
    return "\n".join(f"{took:7.1f}  {name}" for name, took in steps.items())
