"""A recipe and the plan of a bake, for tests of whatever reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bakehouse.bake.plan import BakePlan, BaseImage, SmokeSettings
from bakehouse.core.reasons import Reason
from bakehouse.recipe.commit import Commit
from bakehouse.recipe.load import load_recipe
from bakehouse.recipe.model import Builder, Image

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
PLAN = BakePlan(
    recipe="web",
    commit=Commit(
        sha="a" * 40, ref="HEAD", subject="Serve a page", author_time=NOW, author="Jo <j@x.org>"
    ),
    dag_id="bake__web",
    run_id="manual__1",
    run="0123456789ab",
    image_name="web-20261123t0300-aaaaaaa-1234",
    content_key="c" * 40,
    base_image=BaseImage(self_link="https://x/images/d", id="77", name="debian-12"),
    builder=Builder(zones=("us-central1-a", "us-central1-b")),
    image=Image(),
    smoke=SmokeSettings(deadline=timedelta(minutes=10), boot_time_limit=timedelta(minutes=5)),
    bake=True,
    reason=Reason.NO_IMAGE_WITH_THIS_CONTENT,
    created=NOW,
)
RECIPE = load_recipe("base: debian-cloud/debian-12\nvars: {page: hello}\n", "web.yaml")
