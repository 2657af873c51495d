"""What the plan of a bake says that it costs."""

from __future__ import annotations

from tests.support.plans import PLAN
from tests.unit.history.test_costs import PRICES, bake

from bakehouse.bake.cost import cost_lines
from bakehouse.history.prices import GB, Prices


def test_a_recipe_that_was_baked_before_takes_as_long_as_then() -> None:
    past = [bake(seconds=seconds, image_bytes=2 * GB) for seconds in (360, 300, 10_000)]
    assert list(cost_lines(PLAN, [*past, bake("jre", seconds=1)], PRICES)) == [
        "cost: about 0.0021 EUR for the builder: e2-small and 10 GB pd-balanced for 6 min"
        " (the median of 3 bakes)",
        "  and 0.1000 EUR a month for the image, of about 2.0 GB",
    ]


def test_a_new_recipe_takes_at_most_what_its_deadline_allows() -> None:
    (line,) = cost_lines(PLAN, [], PRICES)
    assert "for 45 min (at most, by builder.install_deadline_minutes: it was never baked)" in line
    assert line.startswith("cost: about 0.0160 EUR")


def test_a_price_that_is_missing_is_named() -> None:
    lines = list(cost_lines(PLAN, [bake()], Prices(currency="EUR")))
    assert lines[0].startswith("cost: about 0.00 EUR")
    assert lines[-1] == (
        "  without a price in include/prices.yaml: disk_types.pd-balanced, machine_types.e2-small"
    )
