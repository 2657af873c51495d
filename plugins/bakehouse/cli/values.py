"""What options and arguments say: pairs, and numbers of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bakehouse.cli.app import fail

if TYPE_CHECKING:
    from collections.abc import Iterable


class BadValue(ValueError):
    """A value does not have its form; the message names it, and says what to write."""


def key_values(
    given: Iterable[str], option: str = "", form: str = "KEY=VALUE", remedy: str = ""
) -> dict[str, str]:
    """Read `KEY=VALUE` of an option, or of arguments: the text up to the first `=`, and the rest.

    Args:
        given: What was written, such as `["env=prod"]`.
        option: The option's name; empty for arguments.
        form: What it is to look like, in the message.
        remedy: What to write instead.

    Raises:
        BadValue: One of them has no `=`, or no key, or the key of another.
    """
    found: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise BadValue(f"{f'{option} {text!r}'.strip()} is not {form}: {remedy}")
        if key in found:
            raise BadValue(f"{f'{option} {key}'.strip()} is given twice: leave one of them out")
        found[key] = value
    return found


class Rows:
    """Reads the number of rows that an option asks for; one that is none ends the command."""

    __name__ = "number"  # in the help

    def __init__(self, option: str) -> None:
        """Take the option's name."""
        self._option = option

    def __call__(self, given: Any) -> int:
        """Read a number; the default is one already."""
        text = str(given)
        if not (text.isascii() and text.isdigit() and int(text) > 0):
            raise fail(f"{self._option} {text!r} is not a number of 1 or more: write 20", 2)
        return int(text)
