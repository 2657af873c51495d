"""The settings of a stack: those of the project, with localgce as Compute Engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bakehouse.config.airflow_settings import Settings

GOOGLE = "google_cloud_default"


def with_endpoint(settings: Settings, endpoint: str, gce_project: str) -> Settings:
    """The same settings, but `google_cloud_default` points at the localgce at `endpoint`."""
    connection = settings.connections.get(GOOGLE)
    old = dict(connection) if isinstance(connection, dict) else {}
    ours = {"api_endpoint": endpoint, "resource_manager_endpoint": endpoint}
    extra = {**old.get("extra", {}), **ours}
    extra = {"project": gce_project, "is_anonymous": True, **extra}
    google = {**old, "conn_type": "google_cloud_platform", "extra": extra}
    return settings.model_copy(update={"connections": {**settings.connections, GOOGLE: google}})
