"""Costs at the list prices of a file: what is summed, what is told, and what is wrong in it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.paths import PROJECT

from bakehouse.core.reasons import Reason
from bakehouse.history.bake_events import BakeDetail, BakeEvent, CommitRecord
from bakehouse.history.costs import monthly_costs
from bakehouse.history.housekeeping_events import ImageDeletedEvent, RetiredDetail
from bakehouse.history.prices import GB, Prices, Unpriced, load_prices
from bakehouse.recipe.load import Mistakes

if TYPE_CHECKING:
    from pathlib import Path

PRICES = Prices.model_validate(
    {
        "currency": "EUR",
        "machine_types": {"e2-small": {"hour": 0.02, "spot_hour": "0.006"}},
        "disk_types": {"pd-balanced": 0.1},
        "images": 0.05,
    }
)
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
COMMIT = CommitRecord(sha="c" * 40, ref="main", subject="s", author_time=NOVEMBER, author="a")


def bake(recipe: str = "web", at: datetime = NOVEMBER, number: int = 1, **detail: Any) -> BakeEvent:
    known = {"machine_type": "e2-small", "disk_gb": 10, "disk_type": "pd-balanced", "seconds": 360}
    form = {"image_id": f"{recipe}{number}", "content_key": "k", "base_image": "b", "builder": "x"}
    return BakeEvent(
        time=at,
        at=at,
        dag_id=f"bake__{recipe}",
        run_id=f"{number}",
        task_id="create_image",
        recipe=recipe,
        image=f"{recipe}-{number}",
        git_sha="c" * 40,
        reason=Reason.NO_IMAGE_WITH_THIS_CONTENT,
        detail=BakeDetail.model_validate({**form, **known, "commit": COMMIT, **detail}),
    )


def deletion(event: BakeEvent, at: datetime) -> ImageDeletedEvent:
    form = event.model_dump(include={"dag_id", "run_id", "task_id", "recipe", "image", "reason"})
    detail = RetiredDetail.model_validate({"id": event.detail.image_id, "do": "delete"})
    return ImageDeletedEvent(**form, time=at, at=at, detail=detail)


def test_a_builder_and_its_disk_count_by_the_minute_in_decimals() -> None:
    (row,) = monthly_costs([bake()], PRICES, NOVEMBER).months
    assert (row.month, row.recipe, row.bakes) == ("2026-11", "web", 1)
    assert row.builder_minutes == 6
    assert row.builders == Decimal("0.002")
    assert row.disks == Decimal(360) / (3600 * 730)
    assert row.total == row.builders + row.disks


def test_a_spot_builder_has_the_price_of_a_spot_vm() -> None:
    (row,) = monthly_costs([bake(spot=True)], PRICES, NOVEMBER).months
    assert row.builders == Decimal("0.0006")


def test_an_image_counts_in_each_month_in_which_it_exists() -> None:
    kept = bake(image_bytes=2 * GB, at=datetime(2026, 10, 31, 12, tzinfo=UTC))
    gone = datetime(2026, 11, 2, tzinfo=UTC)
    costs = monthly_costs([kept, deletion(kept, gone)], PRICES, gone + timedelta(days=20))
    shares = {row.month: row.image_gb_months for row in costs.months}
    hours = {month: round(share * 730 / 2, 6) for month, share in shares.items()}
    assert hours == {"2026-11": 24, "2026-10": 12}
    for row in costs.months:
        assert round(row.images, 9) == round(row.image_gb_months * Decimal("0.05"), 9)


def test_an_image_that_is_there_counts_until_now() -> None:
    costs = monthly_costs([bake(image_bytes=GB)], PRICES, NOVEMBER + timedelta(hours=73))
    assert costs.months[0].image_gb_months == Decimal("0.1")


def test_recipes_are_apart_and_one_may_be_asked_for() -> None:
    events = [bake("web"), bake("jre"), bake("web", number=2)]
    rows = monthly_costs(events, PRICES, NOVEMBER).months
    assert [(row.recipe, row.bakes) for row in rows] == [("web", 2), ("jre", 1)]
    (only,) = monthly_costs(events, PRICES, NOVEMBER, "jre").months
    assert only.recipe == "jre"


def test_what_has_no_price_is_named_and_costs_nothing() -> None:
    costs = monthly_costs([bake(machine_type="n4-standard-2", image_bytes=1)], PRICES, NOVEMBER)
    assert costs.unpriced == ("machine_types.n4-standard-2",)
    assert costs.months[0].builders == 0
    bare = Prices(currency="USD")
    later = NOVEMBER + timedelta(hours=1)
    found = monthly_costs([bake(image_bytes=1, spot=True)], bare, later)
    assert found.unpriced == ("disk_types.pd-balanced", "images", "machine_types.e2-small")


def test_a_bake_of_before_the_machine_type_was_recorded_is_counted_as_that() -> None:
    (row,) = monthly_costs([bake(machine_type="", disk_gb=None)], PRICES, NOVEMBER).months
    assert (row.bakes, row.uncounted, str(row.total)) == (1, 1, "0")


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 40)), max_size=8))
def test_the_months_of_an_image_are_the_time_that_it_exists(spans: list[tuple[int, int]]) -> None:
    """Whatever the months are, none of its time is lost or counted twice."""
    events: list[Any] = []
    for number, (hours, offset) in enumerate(spans):
        made = bake(number=number, image_bytes=GB, at=NOVEMBER - timedelta(days=offset * 9))
        events += [made, deletion(made, made.happened + timedelta(hours=hours))]
    costs = monthly_costs(events, PRICES, NOVEMBER)
    total = sum((row.image_gb_months for row in costs.months), Decimal(0))
    assert abs(total - Decimal(sum(hours for hours, _ in spans)) / 730) < Decimal("1e-9")


def test_amounts_for_people() -> None:
    told = [PRICES.money(Decimal(text)) for text in ("0", "0.00204", "0.99995", "12.345")]
    assert told == ["0.00 EUR", "0.0020 EUR", "1.0000 EUR", "12.35 EUR"]


def test_a_project_without_prices_has_none(tmp_path: Path) -> None:
    assert load_prices(tmp_path) is None


def test_every_mistake_of_the_file_is_told_with_line_value_and_remedy(tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_text(
        "currency: euro\nmachine_types:\n  e2-small: {hour: -1}\n  e2-medium: 0.03\nimage: 0.05\n"
    )
    with pytest.raises(Mistakes) as told:
        load_prices(tmp_path)
    lines = [str(one) for one in told.value.mistakes]
    assert [line.partition(" ")[0] for line in lines] == [
        f"include/prices.yaml:{line}:" for line in (1, 3, 4, 5)
    ]
    assert "currency is not a currency, such as EUR (it is 'euro')" in lines[0]
    assert "Did you mean images?" in lines[3]


def test_the_example_of_the_guide_is_valid(tmp_path: Path) -> None:
    guide = (PROJECT / "docs/cost.md").read_text("utf-8")
    example = guide.partition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "prices.yaml").write_text(example)
    assert load_prices(tmp_path) is not None


def test_prices_of_a_file_are_exact(tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_text(
        "currency: EUR\nmachine_types: {e2-small: {hour: 0.0184}}\ndisk_types: {pd-ssd: 0.1}\n"
    )
    prices = load_prices(tmp_path)
    assert prices is not None
    assert prices.machine("e2-small") == Decimal("0.0184")
    assert prices.disk("pd-ssd", 3) == Decimal("0.3")
    with pytest.raises(
        Unpriced, match=r"include/prices\.yaml has no machine_types\.e2-small\.spot"
    ):
        prices.machine("e2-small", spot=True)
