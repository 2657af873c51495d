"""The schedules of the DAGs: by our timetables, or by those that Airflow itself has."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow.sdk import CronTriggerTimetable, PartitionedAssetTimetable

from bakehouse.recipe.rules import parent_of
from bakehouse.schedule.classes import only_builtin
from bakehouse.schedule.image_asset import image_asset
from bakehouse.schedule.jitter import offset_of
from bakehouse.schedule.shift import shifted
from bakehouse.schedule.timetable import GRACE, Nightly, NightlyOrParent

if TYPE_CHECKING:
    from bakehouse.recipe.model import Recipe

Schedule = Nightly | CronTriggerTimetable | PartitionedAssetTimetable | None


def nightly(cron: str, timezone: str, offset: timedelta = timedelta(0)) -> Schedule:
    """Return the schedule of a cron expression; `offset` is the jitter."""
    if only_builtin():
        return CronTriggerTimetable(shifted(cron, offset), timezone=timezone, run_immediately=GRACE)
    return Nightly(cron, timezone=timezone, offset=offset)


def bake_schedule(recipe: Recipe) -> Schedule:
    """Return the schedule of a recipe: the cron, and each new image of the parent recipe.

    Airflow itself has no timetable for both: with its own ones only, the cron is the schedule, and
    a new image of the parent is baked upon in the next night.
    """
    parent = parent_of(recipe)
    offset = offset_of(recipe.name, recipe.jitter)
    if recipe.schedule is None:
        return PartitionedAssetTimetable(assets=image_asset(parent)) if parent else None
    if parent is None or only_builtin():
        return nightly(recipe.schedule, recipe.timezone, offset)
    return NightlyOrParent(
        recipe.schedule, timezone=recipe.timezone, offset=offset, parent=image_asset(parent)
    )


def start_date(beginning: datetime) -> datetime | None:
    """Return since when a DAG is due: with Airflow's own cron no date.

    That cron would start last night's run as soon as it sees a DAG that has one.
    """
    return None if only_builtin() else beginning
