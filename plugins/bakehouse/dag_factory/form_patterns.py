r"""Patterns of the trigger forms, in the regular expressions that Python and browsers share.

`$` alone lets Python accept a newline at the end, hence `$(?!\n)`. No field takes control
characters, some of which end a string in a shell or a database, or surrogates, which UTF-8 does not
have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bakehouse.images.names import GIT_HASH, ID, NAME

if TYPE_CHECKING:
    from collections.abc import Collection

_END = r"$(?!\n)"
_UNPRINTABLE = r"\x00-\x1f\x7f-\x9f\ud800-\udfff"

INSTANCE = rf"^{NAME}{_END}"
IMAGE = rf"^({NAME}|{ID}){_END}"
"""A name or an id."""
IMAGE_OR_NONE = rf"^({NAME}|{ID}|{GIT_HASH})?{_END}"
"""A name, an id, the hash of a commit, or nothing."""
DATE = rf"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}{_END}"
"""Python's own check, `format: date`, takes 20261120 too."""
CONNECTION = rf"^[A-Za-z0-9_#!()\-.:/\\]{{1,250}}{_END}"
"""The id of a connection, as Airflow has it."""
LINE = rf"^(?=.*\S)[^{_UNPRINTABLE}]*{_END}"
"""One line of text that is not blank."""
LINE_OR_NONE = rf"^[^{_UNPRINTABLE}]*{_END}"
"""One line of text, or nothing."""
_NOT_A_NUMBER = {"minimum": 1, "maximum": 0}  # NaN, which Python's JSON reads, is in any range
SCALAR = {
    "anyOf": [
        {"type": "string", "pattern": r"^[^\x00\ud800-\udfff]*$", "maxLength": 65_536},
        {"type": "number", "minimum": -(2**63), "maximum": 2**63 - 1, "not": _NOT_A_NUMBER},
        {"type": "boolean"},
    ]
}
"""A value of a recipe's vars; `bakehouse.recipe.model.Scalar` is its model."""

METADATA: dict[str, Any] = {
    "patternProperties": {
        rf"^(?!bakehouse-|enable-guest-attributes$)[a-zA-Z0-9_-]{{1,128}}{_END}": {
            "type": ["null", "string"],
            "pattern": r"^[^\x00\ud800-\udfff]*$",
            "maxLength": 65_536,
        }
    },
    "additionalProperties": False,
}
"""Keys and values of an instance's metadata; a value of null takes a key away."""


def git_ref(pattern: str) -> str:
    """Return the pattern of a ref without the characters that no name can have."""
    return rf"^(?!.*[{_UNPRINTABLE}])(?![\s\S]*\n)" + pattern.removeprefix("^")


def suggested(values: Collection[str]) -> dict[str, Any]:
    """Return what makes a field a list to choose from that takes other values as well."""
    return {"examples": list(values)} if values else {}
