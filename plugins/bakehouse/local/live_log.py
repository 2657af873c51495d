"""The log of a build's tasks on the terminal: what a person reads of it, line by line."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import structlog

from bakehouse.cloud import boot_lines

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

_NOISE = (
    "cannot be called outside of the Task Runner",  # by Airflow: here it is meant
    "Skipping masking for a secret",
)
_LEAST = logging.INFO


class Lines:
    """Writes lines to the terminal; `task` stands before those that the guest has not said."""

    def __init__(self, echo: Callable[[str], None]) -> None:
        self._echo = echo
        self.task = ""
        self._log = boot_lines.Unfolded()

    def install(self) -> None:
        """Take the place of Airflow's own output, which a worker would write to a file."""
        structlog.configure(
            processors=[structlog.stdlib.PositionalArgumentsFormatter(), self._render],
            wrapper_class=structlog.make_filtering_bound_logger(_LEAST),
            logger_factory=lambda *_: _Sink(),
            cache_logger_on_first_use=False,
        )
        logging.basicConfig(level=logging.WARNING, handlers=[_Handler(self)], force=True)

    def line(self, text: str) -> None:
        """Write a line unless it says nothing to a person; of a group only its title."""
        shown = self._log.shown(text)
        if shown is not None and not any(noise in shown for noise in _NOISE):
            self._echo(shown if shown.startswith("  │") else f"{self.task:<18} {shown}")

    def _render(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
        for line in str(event.get("event", "")).splitlines():
            self.line(line)
        raise structlog.DropEvent


class _Sink:
    """Where nothing arrives."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


class _Handler(logging.Handler):
    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        for line in record.getMessage().splitlines():
            self._lines.line(line)


def to_stdout(text: str) -> None:
    """Write a line at once, also into a pipe."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
