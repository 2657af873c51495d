"""Airflow's settings for a build's own process: nothing of a running Airflow is read or written."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from bakehouse.config.airflow_settings import Settings, SettingsError, load_settings
from bakehouse.config.folder import SETTINGS
from bakehouse.local.errors import LocalError
from bakehouse.local.server import GCE_PROJECT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bakehouse.local.places import Places
    from bakehouse.local.server import Server

LOCAL = "bakehouse_local"  # the connection to localgce
REPOSITORY = "bakehouse_repo"
_POLL_SECONDS = 0.5


def set_environment(places: Places, server: Server | None, connection: str) -> None:
    """Set the variables of this process, before Airflow is imported. Raises LocalError.

    Args:
        places: Where the build keeps its files.
        server: The local server; None for a project of Google's.
        connection: The connection that is used. It comes from this shell's environment, else from
            the project's airflow_settings.yaml.
    """
    settings = _settings(places)
    if server is not None:
        google: str | dict[str, Any] = _to_localgce(server)
    else:
        google = _given(connection, settings, os.environ)
    for name in [name for name in os.environ if name.startswith("AIRFLOW__")]:
        del os.environ[name]  # of a deployment: its database, folders and secrets
    tree = {"conn_type": "git", "host": str(places.project), "extra": {"work_tree": True}}
    os.environ |= {
        "AIRFLOW_HOME": str(places.airflow_home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(places.project / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(places.airflow_home / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
        "AIRFLOW__BAKEHOUSE__FIRST_LOOK": "0",  # no executor has to notice a deferral first
        **{f"AIRFLOW_VAR_{name.upper()}": value for name, value in settings.variables.items()},
        "AIRFLOW_VAR_BAKEHOUSE_LEDGER": f"file://{places.ledger}",
        "AIRFLOW_VAR_BAKEHOUSE_NOTIFICATIONS": "off",
        "AIRFLOW_VAR_BAKEHOUSE_BUILDERS": "64",  # a person waits: builds are not counted
        f"AIRFLOW_CONN_{REPOSITORY.upper()}": json.dumps(tree),
        f"AIRFLOW_CONN_{connection.upper()}": (
            google if isinstance(google, str) else json.dumps(google)
        ),
    }


def _settings(places: Places) -> Settings:
    try:
        return load_settings(places.project / SETTINGS)
    except SettingsError as wrong:
        raise LocalError(str(wrong)) from wrong


def _given(
    connection: str, settings: Settings, environment: Mapping[str, str]
) -> str | dict[str, Any]:
    found = environment.get(f"AIRFLOW_CONN_{connection.upper()}")
    given = found or settings.connections.get(connection)
    if given is None:
        raise LocalError(
            f"there is no connection {connection!r}: define it in {SETTINGS} or as"
            f" AIRFLOW_CONN_{connection.upper()}"
        )
    return given


def _to_localgce(server: Server) -> dict[str, Any]:
    extra = {
        "project": GCE_PROJECT,
        "is_anonymous": True,
        "api_endpoint": server.url,
        "poll_interval": _POLL_SECONDS,
        "reads_per_minute": 600_000,
    }
    return {"conn_type": "google_cloud_platform", "extra": extra}
