"""What the plan of a rollout says that it costs."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from tests.support.fake_compute import NEW_IMAGE, NOW
from tests.unit.history.test_costs import PRICES

from bakehouse.fleet.template import DataDisk, Template
from bakehouse.rollout.cost import cost_lines
from bakehouse.rollout.forecast import forecast
from bakehouse.rollout.states import Strategy

from .test_forecast import past, planned

if TYPE_CHECKING:
    from bakehouse.rollout.plan import RolloutPlan

TEMPLATE = Template(
    machine_type="e2-small", disks=(DataDisk(name="data", size_gb=100, type="pd-balanced"),)
)


def timed(made: RolloutPlan, seconds: float | None) -> RolloutPlan:
    known = [past("a", seconds)] if seconds is not None else []
    no_soak = {"soak": timedelta(0), "deadline": timedelta(minutes=10)}
    return made.model_copy(update={"forecast": forecast(made, known, NOW, **no_soak)})


def test_a_swap_costs_the_second_boot_disks_until_it_has_ended() -> None:
    (line,) = cost_lines(timed(planned("abc"), 730 * 12.0), None, PRICES)
    size = planned("a").changes[0].old.size_gb
    each = max(size, NEW_IMAGE.disk_gb) / 10 * 0.01
    what = "for the rollout: 3 second boot disks for 7 h 18 min"
    assert line == f"cost: at most {each * 3:.4f} EUR {what}"


def test_a_rollout_like_none_before_costs_at_most_what_its_deadlines_allow() -> None:
    (line,) = cost_lines(timed(planned("a"), None), None, PRICES)
    assert "1 second boot disk for at most 10 min" in line


def test_a_member_that_is_created_costs_from_then_on() -> None:
    made = timed(planned("ab", stages=("100%",)), 60)
    created = tuple(c.model_copy(update={"strategy": Strategy.CREATE}) for c in made.changes)
    made = made.model_copy(update={"stages": (created,)})
    assert list(cost_lines(made, TEMPLATE, PRICES)) == [
        # 730 hours, 10 GB and 100 GB, of each
        "cost: 51.20 EUR a month for 2 members that will be created"
    ]


def test_nobody_moves_and_nothing_is_said() -> None:
    assert list(cost_lines(timed(planned(""), 60), TEMPLATE, PRICES)) == []


def test_a_disk_type_without_a_price_is_named() -> None:
    made = timed(planned("a"), 60)
    lines = list(cost_lines(made, None, PRICES.model_copy(update={"disk_types": {}})))
    assert lines[-1].startswith("  without a price in include/prices.yaml: disk_types.pd-")
