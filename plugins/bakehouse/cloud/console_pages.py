"""Addresses of the pages that show a resource. Pure.

Google's own resources have pages in the Cloud Console; of another endpoint (localgce) the pages are
those of localgce's console.
"""

from __future__ import annotations

CONSOLE = "https://console.cloud.google.com/compute"


def instance_page(project: str, zone: str, name: str, endpoint: str | None) -> str:
    """The Cloud Console's page of a machine; of another endpoint the one of its console."""
    if endpoint:
        return f"{_local(endpoint)}/projects/{project}/zones/{zone}/instances/{name}"
    return f"{CONSOLE}/instancesDetail/zones/{zone}/instances/{name}?project={project}"


def serial_page(project: str, zone: str, name: str, endpoint: str | None) -> str:
    """Return the address of its serial output, while the VM exists."""
    if endpoint:
        return f"{instance_page(project, zone, name, endpoint)}/serial"
    return (
        f"{CONSOLE}/instancesDetail/zones/{zone}/instances/{name}/console?port=1&project={project}"
    )


def image_page(project: str, name: str, endpoint: str | None) -> str:
    """Return the page of an image."""
    if endpoint:
        return f"{_local(endpoint)}/projects/{project}/global/images/{name}"
    return f"{CONSOLE}/imagesDetail/projects/{project}/global/images/{name}?project={project}"


def machine_image_page(project: str, name: str, endpoint: str | None) -> str:
    """Return the page of a machine image."""
    if endpoint:
        return f"{_local(endpoint)}/projects/{project}/global/machineImages/{name}"
    return f"{CONSOLE}/machineImages/details/{name}?project={project}"


def _local(endpoint: str) -> str:
    return f"{endpoint.rstrip('/')}/_localgce/console"
