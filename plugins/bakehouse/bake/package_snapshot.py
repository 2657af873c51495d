"""Packages of a past date, from snapshot.debian.org.

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
    """Return the date of the packages to install, as the archive writes it; None for today's.

    The form's date, else in a backfill the run's own if the recipe has `snapshot: debian`.
    Raises PermanentError for a future date.
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
    """Return the beginning of the day, so that nothing later than the run is installed."""
    return datetime.combine(day, time(), UTC).strftime("%Y%m%dT%H%M%SZ")


def archive_url() -> str:
    """Return the archive's URL, without a slash at its end."""
    from airflow.sdk import Variable

    return str(Variable.get(VARIABLE, default=DEFAULT_URL)).rstrip("/")
