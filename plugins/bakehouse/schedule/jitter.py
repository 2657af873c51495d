"""The offset of a recipe's runs from its cron, so that not all recipes start at once. Pure."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256


def offset_of(recipe: str, jitter: timedelta | None) -> timedelta:
    """Return the offset of a recipe: always the same, below `jitter`, in whole seconds."""
    seconds = int(jitter.total_seconds()) if jitter else 0
    if seconds < 1:
        return timedelta(0)
    return timedelta(seconds=int(sha256(recipe.encode()).hexdigest()[:8], 16) % seconds)
