"""What every task of ours would import, imported once where LocalExecutor forks its workers.

Google's libraries take 0.6 s of processor time to import, our own modules 0.2 to 0.4 s, and a bake
is some sixteen short processes. A triggerer has what triggers import before it forks their process:
there the first trigger would hold up all others. Other components do without: a DAG processor must
not pay for it. A task or a trigger sees a change below `plugins/` once the scheduler or the
triggerer was started again, as with any plugin.
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from pkgutil import walk_packages
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

import bakehouse

if TYPE_CHECKING:
    from collections.abc import Iterator

OF_TRIGGERS = (
    "airflow.providers.google.common.hooks.base_google",
    "airflow.providers.standard.triggers.temporal",
    "googleapiclient.discovery",
)
OF_TASKS = (
    *OF_TRIGGERS,
    "airflow.providers.git.hooks.git",
    "securesystemslib.signer",  # 1.2 s, with the client of Cloud KMS
    "spdx_tools.spdx.jsonschema.document_converter",  # 0.7 s, between builder and smoke machine
)
NOT_OF_TASKS = (
    "bakehouse.cli",
    "bakehouse.config.doctor",
    "bakehouse.config.new_project",
    "bakehouse.config.schema",
    "bakehouse.plugin",
    "bakehouse.preload",
)


@hookimpl
def on_starting(component: Any) -> None:  # ruff: ignore[unused-function-argument]  Airflow passes it by this name
    """Called by each component once, before it forks anything."""
    # Airflow reads plugins/.airflowignore by a class that pathspec calls deprecated: a line in the
    # log of every task. Airflow's own filters show it, so this one has to stand before them.
    warnings.filterwarnings("ignore", "GitWildMatchPattern", DeprecationWarning)
    # what the process is: its job does not say so yet
    names = {"scheduler": task_modules, "triggerer": trigger_modules}.get("".join(sys.argv[1:2]))
    if names is not None:
        for name in names():
            import_module(name)
        from bakehouse.cloud.discovery_client import prepare

        prepare()


def task_modules() -> Iterator[str]:
    """What tasks and DAG files import."""
    yield from (*OF_TASKS, *modules())


def trigger_modules() -> Iterator[str]:
    """What triggers import."""
    yield from OF_TRIGGERS
    yield from (name for name in modules() if name.endswith(("trigger", "triggers")))


def modules() -> Iterator[str]:
    """Those of Bakehouse that DAG files and tasks import."""
    for found in walk_packages(bakehouse.__path__, "bakehouse."):
        if not found.name.startswith(NOT_OF_TASKS):
            yield found.name
