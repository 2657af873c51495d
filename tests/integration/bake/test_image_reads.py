"""What a night of many recipes asks Compute Engine: each question once."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from bakehouse.bake.image_reads import PROMOTED, ImageReads, by_recipe, images_in
from bakehouse.cloud.calls import PAGE
from bakehouse.history.shared_reads import SharedReads
from bakehouse.images.image_kinds import MACHINE_IMAGE

if TYPE_CHECKING:
    from pathlib import Path

DEBIAN = {"name": "debian-12-v1", "id": "1"}


def image(recipe: str, number: int = 1) -> dict[str, Any]:
    labels = {"bakehouse-recipe": recipe, "bakehouse-state": "promoted"}
    return {"name": f"{recipe}-{number}", "labels": labels, "description": "two\nlines\tand a tab"}


class Cloud:
    """As much of a ComputeHook as a plan reads images with; counts its calls."""

    endpoint, project = None, "ours"

    def __init__(self, images: list[dict[str, Any]]) -> None:
        self.held = images
        self.calls: Counter[str] = Counter()

    def images(self, filter_: str, project: str | None = None) -> list[dict[str, Any]]:
        assert project is None, "of the connection's own"
        self.calls[filter_] += 1
        wanted = filter_.partition("=")[2]
        return [
            one
            for one in self.held
            if filter_ == PROMOTED or one["labels"]["bakehouse-recipe"] == wanted
        ]

    def machine_images(self, filter_: str) -> list[dict[str, Any]]:
        self.calls[f"machine images {filter_}"] += 1
        return []

    def image_of_family(self, project: str, family: str) -> dict[str, Any] | None:
        self.calls[f"{project}/{family}"] += 1
        return DEBIAN if project == "debian-cloud" else None

    def image(self, name: str, project: str | None = None) -> dict[str, Any] | None:
        self.calls[f"image {project}/{name}"] += 1
        return {"name": name}


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    return f"file://{tmp_path}/ledger"


def plan(cloud: Any, ledger: str, chance: float = 0.99) -> ImageReads:
    """The reads of a run that started a minute ago."""
    shared = SharedReads(ledger, datetime.now(UTC) - timedelta(minutes=1))
    return ImageReads(cloud, shared, lambda: chance)


def test_a_hundred_recipes_of_one_night_make_the_calls_of_one(ledger: str) -> None:
    names = [f"web-{number}" for number in range(100)]
    cloud = Cloud([image(name) for name in names])
    for name in names:
        reads = plan(cloud, ledger)
        assert reads.image_of_family("debian-cloud", "debian-12") == DEBIAN
        assert reads.images_of_recipe(name) == [image(name)]
        assert reads.image("jammy-v1", "ubuntu-os-cloud") == {"name": "jammy-v1"}
    assert cloud.calls == {
        PROMOTED: 1,
        "debian-cloud/debian-12": 1,
        "image ubuntu-os-cloud/jammy-v1": 1,
    }


def test_a_recipe_gets_its_own_images_only(ledger: str) -> None:
    cloud = Cloud([image("web"), image("web", 2), image("web-1"), image("my-web")])
    for _ in range(2):
        assert plan(cloud, ledger).images_of_recipe("web") == [image("web"), image("web", 2)]
        assert plan(cloud, ledger).images_of_recipe("we") == []
        assert plan(cloud, ledger).images_of_recipe("my-web") == [image("my-web")]


def test_a_base_that_does_not_exist_is_an_answer_too(ledger: str) -> None:
    cloud = Cloud([])
    assert [plan(cloud, ledger).image_of_family("debian-cloud2", "d") for _ in range(2)] == [
        None,
        None,
    ]
    assert cloud.calls.total() == 1


def test_machine_images_are_another_question(ledger: str) -> None:
    cloud = Cloud([image("web")])
    assert plan(cloud, ledger).images_of_recipe("web") == [image("web")]
    assert plan(cloud, ledger).images_of_recipe("web", MACHINE_IMAGE) == []
    assert cloud.calls[f"machine images {PROMOTED}"] == 1


def test_projects_and_endpoints_do_not_share(ledger: str) -> None:
    ours, theirs = Cloud([image("web")]), Cloud([image("web", 2)])
    theirs.project = "theirs"
    assert plan(ours, ledger).images_of_recipe("web") == [image("web")]
    assert plan(theirs, ledger).images_of_recipe("web") == [image("web", 2)]


def test_where_nothing_is_shared_each_reads_its_own() -> None:
    cloud = Cloud([image("web")])
    for _ in range(2):
        assert ImageReads(cloud).images_of_recipe("web") == [image("web")]  # type: ignore[arg-type]
    assert cloud.calls == {"labels.bakehouse-recipe=web": 2}


def test_an_image_of_the_own_project_is_read_anew(ledger: str) -> None:
    cloud = Cloud([])
    for _ in range(2):
        plan(cloud, ledger).image("jre-2")
    assert cloud.calls == {"image None/jre-2": 2}


def test_of_many_pages_one_run_in_as_many_reads_all(ledger: str) -> None:
    cloud = Cloud([image("web", number) for number in range(3 * PAGE)])
    old = SharedReads(ledger, datetime.now(UTC) - timedelta(days=1))
    ImageReads(cloud, old).images_of_recipe("web")  # type: ignore[arg-type]
    later = SharedReads(ledger, datetime.now(UTC))

    def calls_with(chance: float) -> Counter[str]:
        cloud.calls.clear()
        found = ImageReads(cloud, later, lambda: chance).images_of_recipe("web")  # type: ignore[arg-type]
        assert len(found) == 3 * PAGE
        return cloud.calls

    assert calls_with(0.5) == {"labels.bakehouse-recipe=web": 1}
    assert calls_with(0.3) == {PROMOTED: 1}


def test_a_line_holds_one_recipe() -> None:
    kept = by_recipe([image("b"), image("a"), image("b", 2)])
    assert kept.count(b"\n") == 2
    assert images_in(kept, "b") == [image("b"), image("b", 2)]
    assert images_in(by_recipe([]), "b") == []
