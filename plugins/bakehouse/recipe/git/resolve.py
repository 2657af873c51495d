"""Resolve a ref at a time, in a repository with the ref's history."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from bakehouse.recipe.git.objects import Objects

HASH = re.compile(r"[0-9a-f]{40}")
_ABBREVIATED_HASH = re.compile(r"[0-9a-f]{7,40}")


def resolve(objects: Objects, ref: str, not_after: datetime | None) -> str:
    """Return the hash. Raises UnknownRef, ShallowRepository."""
    tip = objects.tip(ref)
    if not_after is None or _is_exact(objects, ref, tip):
        return tip
    return objects.newest(tip, ref, not_after)


def _is_exact(objects: Objects, ref: str, tip: str) -> bool:
    """Whether the ref is a full or abbreviated hash, and not a branch of that name."""
    if not _ABBREVIATED_HASH.fullmatch(ref) or not tip.startswith(ref):
        return False
    return not objects.is_ref(ref)
