"""Values that refer to secrets, and values that should. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydantic_core import PydanticCustomError

from bakehouse.guest.secret_values import Unavailable, is_reference, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"  # the scope of Secret Manager
_SECRET = re.compile(
    r"(?:^|[-_.])(?:password|passwd|passphrase|secret|token|(?:api|private|access)[-_.]?key)$",
    re.IGNORECASE,
)


def secret_reference(value: str) -> str:
    """Return a reference to a secret; anything else is a mistake, whose value is not shown."""
    try:
        if is_reference(value):
            parse(value)
            return value.strip()
    except Unavailable as wrong:
        # not an f-string: pydantic fills the braces of its template
        raise PydanticCustomError("secret", "{wrong}", {"wrong": str(wrong)}) from None  # ruff: ignore[missing-f-string-syntax]
    raise PydanticCustomError("secret", "is not a secret of Secret Manager: write secret://NAME")


def malformed(metadata: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each key whose value is a malformed reference, and what is wrong with it."""
    for key, value in metadata.items():
        if is_reference(value):
            try:
                parse(value)
            except Unavailable as wrong:
                yield key, str(wrong)


def referring(metadata: Mapping[str, str]) -> list[str]:
    """Return the keys whose values are meant to refer to a secret."""
    return [key for key, value in metadata.items() if is_reference(value)]


def in_the_open(values: Mapping[str, object]) -> list[str]:
    """Return the names that are secrets' names, and whose values everybody can read."""
    return [
        name
        for name, value in values.items()
        if _SECRET.search(name) and str(value).strip() and not is_reference(str(value))
    ]
