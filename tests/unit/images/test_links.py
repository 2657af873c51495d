"""What a link says, whichever way it is written."""

from __future__ import annotations

import pytest

from bakehouse.images.links import (
    image_of,
    labels_of,
    path_of,
    project_of,
    resource_name,
    zone_of,
)

FULL = "https://www.googleapis.com/compute/v1/projects/other/global/images/web-1"


@pytest.mark.parametrize(
    ("link", "named"),
    [
        (FULL, ("other", "web-1")),
        ("http://localhost:8080/compute/v1/projects/other/global/images/web-1", ("other", "web-1")),
        ("projects/other/global/images/web-1", ("other", "web-1")),
        ("global/images/web-1", ("mine", "web-1")),
        ("web-1", ("mine", "web-1")),
        ("projects/other/global/images/family/web", None),
        ("projects/other/zones/z/imageFamilyViews/web", None),
    ],
)
def test_a_link_names_an_image_of_a_project(link: str, named: tuple[str, str] | None) -> None:
    assert image_of(link, "mine") == named


@pytest.mark.parametrize(
    ("link", "project"),
    [(FULL, "other"), ("projects/other", "other"), ("projects/", None), ("global/images/i", None)],
)
def test_a_link_names_its_project_or_none(link: str, project: str | None) -> None:
    assert project_of(link) == project


def test_two_spellings_of_one_resource_have_one_path() -> None:
    beta = FULL.replace("www.googleapis.com/compute/v1", "compute.googleapis.com/compute/beta")
    assert path_of(FULL) == path_of(beta) == "projects/other/global/images/web-1"
    assert path_of("zones/z/disks/d") == "zones/z/disks/d"


def test_a_zone_is_a_name_and_what_is_global_has_none() -> None:
    assert zone_of({"zone": "https://x/projects/p/zones/us-central1-a"}) == "us-central1-a"
    assert zone_of({"zone": "us-central1-a"}) == "us-central1-a"
    assert zone_of({}) == zone_of({"zone": None}) == ""


def test_names_and_labels() -> None:
    assert resource_name(FULL) == resource_name("web-1") == "web-1"
    assert labels_of({"labels": None}) == labels_of({}) == {}
    assert labels_of({"labels": {"a": "b"}}) == {"a": "b"}
