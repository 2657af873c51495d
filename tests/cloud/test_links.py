from __future__ import annotations

from bakehouse.cloud.links import image_page, instance_page


def test_googles_own_resources_are_shown_by_the_cloud_console() -> None:
    page = instance_page("p", "us-central1-a", "web-1", endpoint=None)
    assert page.startswith("https://console.cloud.google.com/compute/instancesDetail/")
    assert page.endswith("/zones/us-central1-a/instances/web-1?project=p")


def test_those_of_another_endpoint_by_the_endpoint() -> None:
    page = image_page("p", "web", endpoint="http://127.0.0.1:8790/")
    assert page == "http://127.0.0.1:8790/compute/v1/projects/p/global/images/web"
