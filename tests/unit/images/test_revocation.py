"""Revoking an image: what it reaches, what is refused."""

from __future__ import annotations

import pytest
from tests.support.resources import NOW, Resource, image

from bakehouse.images.revocation import (
    Revocation,
    descendants,
    recipes_to_bake,
    refusal_to_revoke,
    refusal_to_use,
    revoked_image,
)
from bakehouse.images.selection import newest_of_recipe, newest_with_content


def child(name: str, of: Resource, recipe: str = "app", **labels: str) -> Resource:
    return image(name, recipe=recipe, labels={"base-image-id": of["id"], **labels})


JRE, OTHER = image("jre-1", recipe="jre"), image("jre-2", recipe="jre")
APP = child("app-1", JRE)
SHOP = child("shop-1", APP, "shop")
FAILED = child("app-2", JRE, **{"bakehouse-state": "failed"})


def test_descendants_are_found_over_generations_and_nobody_else() -> None:
    every = [SHOP, APP, child("app-3", OTHER), FAILED, OTHER, JRE, image("plain")]
    found = [i["name"] for i in descendants(JRE["id"], every)]
    assert found == ["app-1", "app-2", "shop-1"]


def test_a_circle_of_labels_ends() -> None:
    a, b = image("a", labels={"base-image-id": "2"}), image("b", labels={"base-image-id": "1"})
    a["id"], b["id"] = "1", "2"
    assert [i["name"] for i in descendants("1", [a, b])] == ["b"]


def test_what_is_reached_and_what_is_to_be_baked_anew() -> None:
    revoked = Revocation(
        image=revoked_image(JRE), why="a CVE", descendants=(revoked_image(APP), revoked_image(SHOP))
    )
    assert (found := revoked.reaches(SHOP["id"])) is not None
    assert found.name == "shop-1"
    assert revoked.reaches(OTHER["id"]) is None
    assert list(recipes_to_bake(revoked)) == ["jre", "app", "shop"]


@pytest.mark.parametrize("state", ["promoted", "history", "revoked"])
def test_images_of_these_states_can_be_revoked(state: str) -> None:
    assert refusal_to_revoke(image("web-1", labels={"bakehouse-state": state})) is None


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (image("web-1", labels={"bakehouse-state": "candidate"}), "is not promoted"),
        (image("web-1", labels={"bakehouse-state": "failed"}), "is not promoted"),
        (image("web-1", labels={"bakehouse-run": None}), "not an image of Bakehouse"),
        ({"name": "golden"}, "not an image of Bakehouse"),
    ],
)
def test_these_images_cannot_be_revoked(found: Resource, told: str) -> None:
    assert told in str(refusal_to_revoke(found))


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (image("web-1", labels={"bakehouse-state": "revoked"}), "it is revoked"),
        (
            image("web-1", labels={"revoked-base": "7"}),
            "built on a revoked image (id 7); bake web",
        ),
        (image("web-1", deprecated={"state": "OBSOLETE"}), "is OBSOLETE"),
    ],
)
def test_these_images_cannot_be_used(found: Resource, told: str) -> None:
    assert told in str(refusal_to_use(found))


def test_a_promoted_or_deprecated_one_can_be_used() -> None:
    assert refusal_to_use(image("web-1")) is None
    assert refusal_to_use(image("web-1", deprecated={"state": "DEPRECATED"})) is None


def test_a_revoked_image_never_counts_as_the_same_content() -> None:
    key = {"content-key": "k"}
    fine = image("web-1", 3, labels=key)
    revoked = image("web-2", labels={**key, "bakehouse-state": "revoked"})
    marked = image("web-3", labels={**key, "revoked-base": "7"}, deprecated={"state": "DEPRECATED"})
    for history in (False, True):
        assert newest_with_content("k", [revoked, marked], history=history) is None
        assert newest_with_content("k", [fine, revoked, marked], history=history) is fine


def test_nothing_is_built_upon_what_is_built_upon_a_revoked_image() -> None:
    fine = image("app-1", 3, "app")
    marked = image("app-2", 1, "app", labels={"revoked-base": "7"})
    for then in (None, NOW):
        chosen = newest_of_recipe([fine, marked], "app", then)
        assert chosen is not None
        assert chosen.image is fine
