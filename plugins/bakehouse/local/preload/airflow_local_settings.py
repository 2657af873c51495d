"""Imports what every task needs in the process that its own is forked from.

Airflow imports this module, by its name, in each of its processes. A step's imports of Google's
libraries cost two thirds of a second, most of what a short task takes; a fork has them for nothing.
Libraries only: what Bakehouse's own files say must be read by each task anew.
"""

from __future__ import annotations

import sys
from importlib import import_module

__all__: list[str] = []  # nothing of this is a setting

FORKS_TASKS = frozenset({"scheduler", "celery"})  # with LocalExecutor; with CeleryExecutor
LIBRARIES = (
    "airflow.providers.git.hooks.git",
    "airflow.providers.google.common.hooks.base_google",
    "airflow.providers.standard.triggers.temporal",
    "googleapiclient.discovery",
)

if FORKS_TASKS & set(sys.argv[1:2]):
    for library in LIBRARIES:
        import_module(library)
