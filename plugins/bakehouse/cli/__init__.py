"""`bakehouse`: the command line of a project; it needs no running Airflow.

Each module has the commands about one subject. It imports what a command needs inside the command:
what is not asked for costs no start-up time.
"""

from __future__ import annotations

from bakehouse.cli import history, local, project
from bakehouse.cli.app import app

__all__ = ["app", "history", "local", "project"]
