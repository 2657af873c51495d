"""What a member's task is handed of the plan says what the plan says."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.support.fake_compute import NEW_IMAGE, OLD_DISK

from bakehouse.rollout.beside import Beside
from bakehouse.rollout.plan import Change, Reported, RolloutPlan
from bakehouse.rollout.states import Strategy
from bakehouse.rollout.strategies.swap import Swap, forward

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
NEW, RECREATED, PLAIN = "new", "recreated", "plain"


def change(name: str, strategy: Strategy = Strategy.SWAP) -> Change:
    return Change(name=name, zone="z", id="7", disk=f"{name}-1", old=OLD_DISK, strategy=strategy)


@pytest.fixture
def made() -> RolloutPlan:
    first = (change(NEW, Strategy.CREATE), change(RECREATED, Strategy.RECREATE), change(PLAIN))
    reported = tuple(Reported(name=n, zone="y", at=NOW) for n in (PLAIN, "left"))
    return RolloutPlan(fleet="web", run="run", image=NEW_IMAGE, stages=(first,), reported=reported)


@pytest.fixture
def beside(made: RolloutPlan) -> Beside:
    swaps: list[Swap] = [forward(made, one, None, moved=None) for one in made.changes]
    return Beside.of(made, 2, swaps)


def test_all_that_the_plan_has_and_those_that_it_leaves_count(
    made: RolloutPlan, beside: Beside
) -> None:
    assert beside.zones == {NEW: "z", RECREATED: "z", PLAIN: "y", "left": "y"}
    assert beside.reported == made.reported
    assert beside.inserted == (NEW, RECREATED)


def test_who_comes_first_is_told_with_its_map_index_and_one_that_is_new_does_not_count(
    beside: Beside,
) -> None:
    assert beside.ahead_of(0) == {}
    assert beside.ahead_of(1) == {}
    assert beside.ahead_of(2) == {RECREATED: 1}
    assert beside.ahead_of(None) == {RECREATED: 1, PLAIN: 2}


def test_it_survives_its_way_through_the_database(beside: Beside) -> None:
    assert Beside.model_validate(beside.model_dump(mode="json")) == beside
