from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bakehouse.housekeeping.bundles import KEPT_FOR, expired_bundles
from bakehouse.inventory.model import Inventory
from bakehouse.recipe.bundle import StoredBundle

NOW = datetime(2026, 11, 27, tzinfo=UTC)
KEY = "c" * 40
OLD = StoredBundle(
    recipe="web", name=f"{KEY}.json", content_key=KEY, modified=NOW - KEPT_FOR - timedelta(hours=1)
)
NEW = OLD.model_copy(update={"modified": NOW - KEPT_FOR})
HALF = OLD.model_copy(update={"name": ".tmp1234", "content_key": ""})
NOTHING = Inventory(project="p")


def of_content(key: str, state: str) -> dict[str, object]:
    return {"name": "x", "labels": {"content-key": key, "bakehouse-state": state}}


def test_each_bundle_has_an_end() -> None:
    assert expired_bundles([OLD, NEW, HALF], NOTHING, NOW) == [OLD, HALF]


@pytest.mark.parametrize(
    "inventory",
    [
        Inventory(project="p", instances=(of_content(KEY, "candidate"),)),
        Inventory(project="p", instances=(of_content(KEY, "failed"),)),
        Inventory(project="p", images=(of_content(KEY, "candidate"),)),
        Inventory(project="p", machine_images=(of_content(KEY, "candidate"),)),
    ],
)
def test_content_that_somebody_works_on_keeps_its_bundle(inventory: Inventory) -> None:
    assert expired_bundles([OLD], inventory, NOW) == []


@pytest.mark.parametrize(
    "image",
    [of_content(KEY, "promoted"), of_content(KEY, "failed"), of_content("d" * 40, "candidate"), {}],
)
def test_an_image_that_is_done_needs_no_bundle(image: dict[str, object]) -> None:
    inventory = Inventory(project="p", images=({"name": "y", **image},))
    assert expired_bundles([OLD], inventory, NOW) == [OLD]


def test_a_form_for_one_recipe_leaves_the_bundles_of_others() -> None:
    other = OLD.model_copy(update={"recipe": "app"})
    assert expired_bundles([OLD, other], NOTHING, NOW, "app") == [other]
