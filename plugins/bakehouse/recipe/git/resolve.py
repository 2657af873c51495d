"""Which commit a ref means at a time, in a repository that has the ref's history."""

from __future__ import annotations

import re
from datetime import datetime

from bakehouse.recipe.git.objects import Objects

HASH = re.compile(r"[0-9a-f]{40}")
_HASH_BEGINNING = re.compile(r"[0-9a-f]{7,40}")


def resolve(objects: Objects, ref: str, not_after: datetime | None) -> str:
    """The hash. Raises UnknownRef, ShallowRepository."""
    tip = objects.tip(ref)
    if not_after is None or _is_exact(objects, ref, tip):
        return tip
    return objects.newest(tip, ref, not_after)


def _is_exact(objects: Objects, ref: str, tip: str) -> bool:
    """A hash, whole or the beginning of one, and no branch that happens to look like it."""
    if not _HASH_BEGINNING.fullmatch(ref) or not tip.startswith(ref):
        return False
    return not objects.is_ref(ref)
