"""What every task of ours would import, imported once where LocalExecutor forks its workers.

The client of Compute Engine takes 0.6 s of processor time to import, and a bake is some sixteen
short processes. Other components do without: a DAG processor must not pay for it.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from airflow.listeners import hookimpl

HEAVY = ("bakehouse.cloud.hook", "bakehouse.bake.source")


@hookimpl
def on_starting(component: Any) -> None:
    """Called by each component once, before it forks anything."""
    if is_scheduler(sys.argv):
        for name in HEAVY:
            import_module(name)


def is_scheduler(arguments: list[str]) -> bool:
    """Whether this process is `airflow scheduler`: its job does not say so yet."""
    return arguments[1:2] == ["scheduler"]
