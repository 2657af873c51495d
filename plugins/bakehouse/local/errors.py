"""What ends a command of the inner loop: one line for the user."""

from __future__ import annotations


class LocalError(Exception):
    """The command cannot go on; the message has the reason, and the remedy if there is one."""
