"""Which of two Debian versions is the newer one, by the rules of Debian's policy. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import Any


def newer(one: str, other: str) -> bool:
    """Whether `one` is newer than `other`.

    What is no version by Debian's rules (a guest may tell anything) is older than what is one.
    """
    return one != other and bool(_key(one) > _key(other))


def newest(versions: set[str]) -> str:
    """The newest of some, at least one."""
    return max(versions, key=_key)


@lru_cache(maxsize=2**16)
def _key(text: str) -> tuple[bool, Any]:
    from debian.debian_support import Version

    try:
        return True, Version(text)
    except ValueError:
        return False, text
