"""`bakehouse`: the command line of a project; few of its commands need a running Airflow.

Each module has the commands about one subject. It imports what a command needs inside the command:
what is not asked for costs no start-up time.
"""

from __future__ import annotations

from bakehouse.cli import (
    adopt,
    airflow,
    freeze,
    history,
    listing,
    local,
    new,
    notify,
    plan,
    project,
    render,
    roles,
    runs,
    verify,
)
from bakehouse.cli.app import app

__all__ = [
    "adopt",
    "airflow",
    "app",
    "freeze",
    "history",
    "listing",
    "local",
    "new",
    "notify",
    "plan",
    "project",
    "render",
    "roles",
    "runs",
    "verify",
]
