"""What a local build makes is never promoted, and only another local build is built on it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from bakehouse.bake.base_image import resolve
from bakehouse.bake.image_reads import ImageReads
from bakehouse.bake.plan import LocalLayer
from bakehouse.core.errors import PermanentError
from bakehouse.recipe.base import BaseRecipe

from .walk import Walk

if TYPE_CHECKING:
    from devstack.gce_api import Compute

LAYER = LocalLayer(image="layer-loaf-1", image_id="7", self_link="global/images/l", parts=1)


@pytest.fixture(scope="module")
def tested(server: Compute) -> Walk:  # ruff: ignore[unused-function-argument]  requested for its effect
    run = Walk("loaf", "local__1", force=True)
    run.through("smoke_test")
    run.tear_down()
    return run


@pytest.mark.parametrize("how", ["work tree", "layer"])
def test_an_image_of_a_local_build_is_never_promoted(
    tested: Walk, compute: Compute, how: str
) -> None:
    plan = tested.handed["plan_bake"]
    if how == "layer":
        changed = {**plan, "layer": LAYER.model_dump(mode="json")}
    else:
        changed = {**plan, "commit": {**plan["commit"], "work_tree": True}}
    tested.handed["plan_bake"] = changed
    try:
        with pytest.raises(PermanentError, match="local build is not promoted"):
            tested.try_("promote_image")
    finally:
        tested.handed["plan_bake"] = plan

    image = compute.image(str(plan["image_name"]))
    assert "family" not in image
    assert image["labels"]["bakehouse-state"] == "candidate"


def test_a_dags_bake_is_never_built_on_a_local_image_and_a_local_build_is() -> None:
    labels = {
        "bakehouse-recipe": "jre",
        "bakehouse-state": "candidate",
        "bakehouse-local": "tested",
    }
    local = {
        "name": "jre-2",
        "id": "2",
        "selfLink": "projects/p/global/images/jre-2",
        "creationTimestamp": "2026-11-27T10:00:00.000+00:00",
        "labels": labels,
    }
    hook: Any = SimpleNamespace(images=lambda _: [local])
    base = BaseRecipe(recipe="jre")

    with pytest.raises(PermanentError, match="no promoted image"):
        resolve(ImageReads(hook), base, None)
    assert resolve(ImageReads(hook), base, None, local=True).name == "jre-2"
    untested = {**local, "labels": {**labels, "bakehouse-local": "work-tree"}}
    hook.images = lambda _: [untested]
    with pytest.raises(PermanentError, match="no promoted image"):
        resolve(ImageReads(hook), base, None, local=True)
