"""Plans of several recipes that are due at once, against a real localgce and one ledger."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING

import pytest

from .walk import Walk

if TYPE_CHECKING:
    from devstack.gce_api import Compute

SERIAL = count(1)
READS = ("compute.images.getFromFamily", "compute.images.list", "compute.machineImages.list")


def run_of(recipe: str, started: datetime, run_type: str = "scheduled") -> Walk:
    """A run that has started then."""
    night = datetime.now(UTC) if run_type == "backfill" else None
    walk = Walk(recipe, f"{run_type}__shared_{next(SERIAL)}", run_type, night=night)
    walk.run.start_date = started
    walk.through("resolve_commit")
    return walk


def calls(compute: Compute) -> Counter[str]:
    """Since the last look."""
    asked = Counter(request["method"] for request in compute.requests()["requests"])
    compute.forget()
    return Counter({method: asked[method] for method in READS if asked[method]})


@pytest.fixture
def minute_ago() -> datetime:
    return datetime.now(UTC) - timedelta(minutes=1)


def test_recipes_of_one_night_ask_once_and_plan_as_alone(
    compute: Compute, minute_ago: datetime
) -> None:
    recipes, told = ("loaf", "bun", "tray"), ("content_key", "base_image", "bake", "reason")
    alone = [run_of(one, datetime.now(UTC)).through("plan_bake", "plan_bake") for one in recipes]
    assert calls(compute) == {READS[0]: 3, READS[1]: 2, READS[2]: 1}
    night = [run_of(one, minute_ago).through("plan_bake", "plan_bake") for one in recipes]
    assert calls(compute) == {}, "all was read after these have started"
    assert [[plan[key] for key in told] for plan in night] == [
        [plan[key] for key in told] for plan in alone
    ]


def test_a_run_that_starts_later_asks_anew(compute: Compute, minute_ago: datetime) -> None:
    run_of("loaf", minute_ago).through("plan_bake", "plan_bake")
    calls(compute)
    run_of("loaf", datetime.now(UTC)).through("plan_bake", "plan_bake")
    assert calls(compute) == {READS[0]: 1, READS[1]: 1}


def test_a_second_try_asks_anew(compute: Compute, minute_ago: datetime) -> None:
    run_of("loaf", datetime.now(UTC)).through("plan_bake", "plan_bake")
    cleared = run_of("loaf", minute_ago)
    calls(compute)
    cleared.through("plan_bake", "plan_bake")
    assert calls(compute) == {}
    cleared.through("plan_bake", "plan_bake")
    assert calls(compute) == {READS[0]: 1, READS[1]: 1}


def test_a_backfill_looks_at_the_images_itself(compute: Compute, minute_ago: datetime) -> None:
    run_of("loaf", datetime.now(UTC)).through("plan_bake", "plan_bake")
    past = run_of("loaf", minute_ago, "backfill")
    calls(compute)
    past.through("plan_bake", "plan_bake")
    assert calls(compute) == {READS[1]: 2}, "the images of the base's family, and of the recipe"
