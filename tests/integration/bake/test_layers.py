"""A recipe that is built on another's images, step by step against a real localgce."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.ledger import read_ledger

from bakehouse.bake.base_image import resolve
from bakehouse.bake.image_reads import ImageReads
from bakehouse.core.errors import PermanentError
from bakehouse.history.ancestry import bakes_by_image, base_images, descendants, describe
from bakehouse.history.location import ledger_url
from bakehouse.recipe.base import BaseRecipe

from .walk import Walk

if TYPE_CHECKING:
    from bakehouse.history.bake_events import BakeEvent
    from devstack.gce_api import Compute

RUNS = count(1)


def baked(recipe: str, partition: str | None = None, **params: Any) -> Walk:
    """A whole run; one with a partition is triggered by the promotion of the image of that name."""
    kind = "asset_triggered" if partition else "manual"
    run = Walk(recipe, f"layer__{next(RUNS)}", kind, partition=partition, **params)
    run.through("promote_image")
    run.tear_down()
    return run


def image_of(run: Walk) -> str:
    return str(run.handed["plan_bake"]["image_name"])


def ledger() -> dict[str, BakeEvent]:
    return bakes_by_image(read_ledger(ledger_url()))


def plan_of(partition: str) -> Walk:
    run = Walk("slice", f"layer__{next(RUNS)}", "asset_triggered", partition=partition)
    run.through("plan_bake")
    return run


def test_a_parent_without_an_image_is_told_with_what_to_do() -> None:
    candidate = {"name": "jre-1", "labels": {"bakehouse-state": "candidate"}}
    hook: Any = SimpleNamespace(images=lambda _: [candidate])
    with pytest.raises(PermanentError, match=r"jre has no promoted image .* with bake__jre"):
        resolve(ImageReads(hook), BaseRecipe(recipe="jre"), None)


def test_a_layer_is_built_on_the_image_that_was_promoted(compute: Compute) -> None:
    parent = baked("loaf", force=True)
    child = baked("slice", partition=image_of(parent))
    below, above = compute.image(image_of(parent)), compute.image(image_of(child))
    assert above["labels"]["base-image-id"] == below["id"]
    assert above["family"] == "slice"
    bake = ledger()[image_of(child)]
    assert bake.detail.base_image == image_of(parent) == bake.detail.promoted
    assert (bake.detail.base_image_id, bake.detail.parent) == (below["id"], "loaf")

    bakes = ledger()
    debian = base_images(image_of(child), bakes)[2:]
    assert base_images(image_of(child), bakes) == [image_of(child), image_of(parent), *debian]
    assert len(debian) == 1
    assert list(descendants(image_of(parent), bakes)) == [image_of(child)]
    told = describe(image_of(parent), bakes)
    assert [line.strip().split()[0] for line in told] == [
        image_of(parent),
        debian[0],
        "built",
        image_of(child),
    ]

    again = plan_of(image_of(parent))
    assert again.handed["plan_bake"]["existing_image"] == image_of(child), "once per image"
    assert again.try_("need_bake") is False


@pytest.mark.long
def test_a_newer_image_of_the_parent_serves_too_but_never_an_older_one(
    compute: Compute,
) -> None:
    old, new = baked("loaf", force=True), baked("loaf", force=True)
    assert plan_of(image_of(old)).handed["plan_bake"]["base_image"]["name"] == image_of(new)
    compute.call("POST", f"global/images/{image_of(new)}/deprecate", json={"state": "OBSOLETE"})
    with pytest.raises(PermanentError, match=rf"{image_of(new)}.* out of use; {image_of(old)}"):
        plan_of(image_of(new))
    assert plan_of(image_of(old)).handed["plan_bake"]["base_image"]["name"] == image_of(old)
