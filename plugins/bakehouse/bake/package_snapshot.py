"""Packages as of a day of the past, from Debian's archive of its archive.

The day stands in the script, and so in the content key: two days share an image only when nothing
that goes into it depends on the day. Where that archive is (Variable `bakehouse_snapshot_url`) does
not change what it holds; the builder is told by its metadata.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING

from bakehouse.core.errors import PermanentError

if TYPE_CHECKING:
    from bakehouse.bake.params import BakeParams
    from bakehouse.recipe.model import Recipe

VARIABLE = "bakehouse_snapshot_url"
DEFAULT_URL = "https://snapshot.debian.org/archive"


def snapshot_of(recipe: Recipe, form: BakeParams, when: datetime, *, history: bool) -> str | None:
    """The day whose packages are installed, as the archive writes it; None for today's.

    The form's day, else in a backfill the run's own, where the recipe says `snapshot: debian`.
    Raises PermanentError for a day that has not come yet.
    """
    day = form.snapshot_date
    if day is None and history and recipe.snapshot == "debian":
        day = when.astimezone(UTC).date()
    if day is None:
        return None
    if day > when.astimezone(UTC).date():
        raise PermanentError(f"snapshot_date {day} is later than this run")
    return stamp(day)


def stamp(day: date) -> str:
    """Its beginning: whatever of that day it is baked for, nothing later than the run gets in."""
    return datetime.combine(day, time(), UTC).strftime("%Y%m%dT%H%M%SZ")


def archive_url() -> str:
    """Without a slash at its end."""
    from airflow.sdk import Variable

    return str(Variable.get(VARIABLE, default=DEFAULT_URL)).rstrip("/")
