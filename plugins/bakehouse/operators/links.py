"""The buttons on a task that lead to what it has made."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.sdk import BaseOperatorLink

CONSOLE = "https://console.cloud.google.com/compute"


class _PageLink(BaseOperatorLink):
    """Of the task's last try; asked for whenever its process ends, to wait or for good."""

    page: ClassVar[str]  # which of the step's pages

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The address that the step left, empty when it made nothing."""
        return str(getattr(operator, "pages", {}).get(self.page, ""))


class MachineLink(_PageLink):
    """The builder, the smoke VM, the fleet's member."""

    name = "Machine"
    page = "machine"


class SerialLink(_PageLink):
    """What that machine writes on its serial port."""

    name = "Serial log"
    page = "serial"


class ImageLink(_PageLink):
    """The image that is made, or that the plan builds on."""

    name = "Image"
    page = "image"


LINKS = (MachineLink, SerialLink, ImageLink)


def instance_page(project: str, zone: str, name: str, endpoint: str | None) -> str:
    """The Cloud Console's page of a machine; of another endpoint the resource itself."""
    if endpoint:
        return f"{_api(endpoint)}/projects/{project}/zones/{zone}/instances/{name}"
    return f"{CONSOLE}/instancesDetail/zones/{zone}/instances/{name}?project={project}"


def serial_page(project: str, zone: str, name: str, endpoint: str | None) -> str:
    """Where its serial output is to be read, while it stands."""
    if endpoint:
        return f"{instance_page(project, zone, name, endpoint)}/serialPort?port=1"
    return (
        f"{CONSOLE}/instancesDetail/zones/{zone}/instances/{name}/console?port=1&project={project}"
    )


def image_page(project: str, name: str, endpoint: str | None) -> str:
    """The same of an image."""
    if endpoint:
        return f"{_api(endpoint)}/projects/{project}/global/images/{name}"
    return f"{CONSOLE}/imagesDetail/projects/{project}/global/images/{name}?project={project}"


def machine_image_page(project: str, name: str, endpoint: str | None) -> str:
    """The same of a machine image."""
    if endpoint:
        return f"{_api(endpoint)}/projects/{project}/global/machineImages/{name}"
    return f"{CONSOLE}/machineImages/details/{name}?project={project}"


def _api(endpoint: str) -> str:
    return f"{endpoint.rstrip('/')}/compute/v1"
