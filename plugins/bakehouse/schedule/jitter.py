"""How much later than its cron a recipe is baked, so that not all recipes start at once. Pure."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256


def offset_of(recipe: str, jitter: timedelta | None) -> timedelta:
    """The same for a recipe every night, spread over `jitter` for many of them; whole seconds."""
    seconds = int(jitter.total_seconds()) if jitter else 0
    if seconds < 1:
        return timedelta(0)
    return timedelta(seconds=int(sha256(recipe.encode()).hexdigest()[:8], 16) % seconds)
