"""Where the pages of a resource are."""

from __future__ import annotations

from bakehouse.cloud.console_pages import (
    image_page,
    instance_page,
    machine_image_page,
    serial_page,
)

ZONE = "us-central1-a"


def test_googles_own_resources_are_shown_by_the_cloud_console() -> None:
    page = instance_page("p", ZONE, "web-1", endpoint=None)
    assert page.startswith("https://console.cloud.google.com/compute/instancesDetail/")
    assert page.endswith("/zones/us-central1-a/instances/web-1?project=p")
    page = image_page("p", "web", endpoint=None)
    assert page.startswith("https://console.cloud.google.com/compute/imagesDetail/")
    assert page.endswith("/projects/p/global/images/web?project=p")
    page = serial_page("p", ZONE, "web-1", endpoint=None)
    assert page.endswith("/zones/us-central1-a/instances/web-1/console?port=1&project=p")


def test_those_of_localgce_by_its_console() -> None:
    console = "http://127.0.0.1:8790/_localgce/console/projects/p"
    endpoint = "http://127.0.0.1:8790/"
    assert image_page("p", "web", endpoint) == f"{console}/global/images/web"
    assert machine_image_page("p", "web", endpoint) == f"{console}/global/machineImages/web"
    machine = f"{console}/zones/us-central1-a/instances/web-1"
    assert instance_page("p", ZONE, "web-1", endpoint) == machine
    assert serial_page("p", ZONE, "web-1", endpoint) == f"{machine}/serial"
