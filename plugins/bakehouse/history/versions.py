"""Compares Debian versions by the rules of Debian's policy. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import Any


def newer(one: str, other: str) -> bool:
    """Whether `one` is newer than `other`.

    A text that is not a version by Debian's rules (a guest may report anything) is older than any
    version.
    """
    return one != other and bool(_key(one) > _key(other))


def newest(versions: set[str]) -> str:
    """The newest of at least one version."""
    return max(versions, key=_key)


@lru_cache(maxsize=2**16)
def _key(text: str) -> tuple[bool, Any]:
    from debian.debian_support import Version

    try:
        return True, Version(text)
    except ValueError:
        return False, text
