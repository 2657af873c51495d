"""What Airflow loads of Bakehouse; the rest of plugins/ is a library (see .airflowignore)."""

from __future__ import annotations

from airflow.sdk.plugins_manager import AirflowPlugin

from bakehouse.bake.timetable import Nightly
from bakehouse.cloud.links import ResourceLink


class BakehousePlugin(AirflowPlugin):
    """Links on the tasks, and the timetable of the recipes."""

    name = "bakehouse"
    operator_extra_links = [ResourceLink()]  # ruff: ignore[mutable-class-default]  as Airflow declares it
    timetables = [Nightly]  # ruff: ignore[mutable-class-default]
