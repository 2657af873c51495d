"""The settings of a stack: the project's own, with localgce as Compute Engine."""

from __future__ import annotations

from tests.support.paths import PROJECT

from bakehouse.config.airflow_settings import load_settings
from devstack.settings import with_endpoint


def test_the_endpoint_goes_in_and_the_rest_stays() -> None:
    settings = with_endpoint(
        load_settings(PROJECT / "airflow_settings.yaml"), "http://here", "other"
    )
    google = settings.connections["google_cloud_default"]
    assert isinstance(google, dict)
    assert google["extra"] == {
        "project": "bakehouse-local",
        "is_anonymous": True,
        "api_endpoint": "http://here",
        "resource_manager_endpoint": "http://here",
        "poll_interval": 1,
        "reads_per_minute": 1200,
    }
    assert settings.connections["bakehouse_repo"] == {"conn_type": "git", "host": "."}
