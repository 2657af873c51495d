"""The button on a task that leads to what it has made."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperatorLink

CONSOLE = "https://console.cloud.google.com/compute"


class ResourceLink(BaseOperatorLink):
    """To the machine or image of the task's last try; Airflow asks when the task's process ends."""

    name = "Compute Engine"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The address that the step left, empty when it made nothing."""
        return str(getattr(operator, "resource_page", ""))


def instance_page(project: str, zone: str, name: str, endpoint: str | None) -> str:
    """The Cloud Console's page of a machine; of another endpoint the resource itself."""
    if endpoint:
        return f"{_api(endpoint)}/projects/{project}/zones/{zone}/instances/{name}"
    return f"{CONSOLE}/instancesDetail/zones/{zone}/instances/{name}?project={project}"


def image_page(project: str, name: str, endpoint: str | None) -> str:
    """The same of an image."""
    if endpoint:
        return f"{_api(endpoint)}/projects/{project}/global/images/{name}"
    return f"{CONSOLE}/imagesDetail/projects/{project}/global/images/{name}"


def _api(endpoint: str) -> str:
    return f"{endpoint.rstrip('/')}/compute/v1"
