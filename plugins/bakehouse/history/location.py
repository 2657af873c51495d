"""Where the ledger is: the Variable `bakehouse_ledger`, else $AIRFLOW_HOME/ledger."""

from __future__ import annotations

import os
from pathlib import Path

from airflow.sdk import Variable


def ledger_url() -> str:
    """The URL below which everything is written."""
    home = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
    return str(Variable.get("bakehouse_ledger", default=f"file://{home}/ledger")).rstrip("/")
