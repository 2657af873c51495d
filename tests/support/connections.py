"""What leads the tasks of a test to a server of its own, and to no other test's."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

from devstack.serving import GCE_PROJECT

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def connect(
    environment: pytest.MonkeyPatch, url: str, repository: Path, *, poll_interval: float
) -> None:
    """Set Airflow's connections of Google Cloud and of git.

    Tests of other servers have connections of the same name, whose clients a thread may still hold.
    """
    google = {"is_anonymous": True, "project": GCE_PROJECT, "api_endpoint": url}
    google |= {"poll_interval": poll_interval, "reads_per_minute": 600_000}
    connections = {
        "GOOGLE_CLOUD_DEFAULT": {"conn_type": "google_cloud_platform", "extra": google},
        "BAKEHOUSE_REPO": {"conn_type": "git", "host": str(repository)},
    }
    for name, connection in connections.items():
        environment.setenv(f"AIRFLOW_CONN_{name}", json.dumps(connection))
    environment.setattr("bakehouse.cloud.compute_hook._hooks", threading.local())
