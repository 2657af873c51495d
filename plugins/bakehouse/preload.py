"""What every task of ours would import, imported once where LocalExecutor forks its workers.

Google's libraries take 0.6 s of processor time to import, and a bake is some sixteen short
processes. Other components do without: a DAG processor must not pay for it. Libraries only: what
Bakehouse's own files say is read by each task anew.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from airflow.listeners import hookimpl

LIBRARIES = (
    "airflow.providers.git.hooks.git",
    "airflow.providers.google.common.hooks.base_google",
    "airflow.providers.standard.triggers.temporal",
    "googleapiclient.discovery",
    "spdx_tools.spdx.jsonschema.document_converter",  # 0.7 s, between builder and smoke machine
)


@hookimpl
def on_starting(component: Any) -> None:
    """Called by each component once, before it forks anything."""
    if is_scheduler(sys.argv):
        for name in LIBRARIES:
            import_module(name)


def is_scheduler(arguments: list[str]) -> bool:
    """Whether this process is `airflow scheduler`: its job does not say so yet."""
    return arguments[1:2] == ["scheduler"]
