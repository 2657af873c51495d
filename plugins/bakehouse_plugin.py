"""What Airflow loads of Bakehouse; the rest of plugins/ is a library (see .airflowignore)."""

from __future__ import annotations

from airflow.sdk.plugins_manager import AirflowPlugin

from bakehouse import preload
from bakehouse.operators.links import LINKS
from bakehouse.schedule.timetable import Nightly, NightlyOrParent


class BakehousePlugin(AirflowPlugin):
    """Links on the tasks, and the timetable of the recipes."""

    name = "bakehouse"
    operator_extra_links = [link() for link in LINKS]  # ruff: ignore[mutable-class-default]  as Airflow declares it
    listeners = [preload]  # ruff: ignore[mutable-class-default]  as Airflow declares it
    timetables = [Nightly, NightlyOrParent]  # ruff: ignore[mutable-class-default]
