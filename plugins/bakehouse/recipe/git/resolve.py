"""Resolve a ref at a time, in a repository with the ref's history."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    from bakehouse.recipe.commit import PassedOver
    from bakehouse.recipe.git.objects import Objects

HASH = re.compile(r"[0-9a-f]{40}")
_ABBREVIATED_HASH = re.compile(r"[0-9a-f]{4,40}")
_REVISION = re.compile(r"[~^].*")  # what follows a name: HEAD~3, v1^{commit}
_TAG = "refs/tags/"


class Resolved(NamedTuple):
    """The commit, and the newest ones that were passed over because of their dates."""

    sha: str
    passed_over: tuple[PassedOver, ...] = ()


def resolve(objects: Objects, ref: str, not_after: datetime | None) -> Resolved:
    """Return the commit. Raises UnknownRef, ShallowRepository."""
    tip = objects.tip(ref)
    if not_after is None or _is_exact(objects, ref):
        return Resolved(tip)
    return Resolved(*objects.newest(tip, ref, not_after))


def _is_exact(objects: Objects, ref: str) -> bool:
    """Whether the ref means one commit for ever: a tag, a hash, or a revision of one of them."""
    name = _REVISION.sub("", ref)
    full = objects.full_name(name)
    if full:
        return full.startswith(_TAG)
    return _ABBREVIATED_HASH.fullmatch(name) is not None or "-g" in name  # as git describe says it
