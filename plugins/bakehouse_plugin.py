"""Registers Bakehouse with Airflow where plugins/ is how it is shipped, as on Astro.

Where it is installed (the wheel, `pip install -e .`) its entry point does; Airflow would report a
second registration as an import error. Everything else in plugins/ is a library (.airflowignore).
"""

from __future__ import annotations

from bakehouse.plugin import BakehousePlugin, has_entry_point

if has_entry_point():
    del BakehousePlugin
