"""What Bakehouse registers with Airflow: by entry point, or by plugins/bakehouse_plugin.py."""

from __future__ import annotations

from importlib.metadata import distributions

from airflow.sdk.plugins_manager import AirflowPlugin

from bakehouse import preload
from bakehouse.operators.links import LINKS
from bakehouse.pages.plugin_apps import FASTAPI_APPS, REACT_APPS
from bakehouse.runs import listener
from bakehouse.schedule.timetable import Nightly, NightlyOrParent
from bakehouse.sla.reference import RunQueued


class BakehousePlugin(AirflowPlugin):
    """Links on the tasks, the timetable of the recipes, what deadlines count from, and the page."""

    name = "bakehouse"
    operator_extra_links = [link() for link in LINKS]  # ruff: ignore[mutable-class-default]  as Airflow declares it
    listeners = [preload, listener]  # ruff: ignore[mutable-class-default]  as Airflow declares it
    fastapi_apps = FASTAPI_APPS
    react_apps = REACT_APPS
    deadline_references = [RunQueued]  # ruff: ignore[mutable-class-default]  as Airflow declares it
    timetables = [Nightly, NightlyOrParent]  # ruff: ignore[mutable-class-default]


ENTRY_POINT = f"{BakehousePlugin.__module__}:{BakehousePlugin.__qualname__}"


def has_entry_point() -> bool:
    """Whether Airflow finds the plugin by itself, since the wheel or the checkout is installed."""
    return any(
        point.value == ENTRY_POINT
        for distribution in distributions(name="bakehouse")
        for point in distribution.entry_points.select(group="airflow.plugins")
    )
