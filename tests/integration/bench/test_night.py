"""What `make bench-night` prints, and how it ends."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.paths import PROJECT


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(PROJECT / "bench"))
    spec = importlib.util.spec_from_file_location("bench_night", PROJECT / "bench" / "night.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def night(recipes: int, **more: Any) -> Any:
    values: dict[str, Any] = {
        "wall": 150.0,
        "processor": 8.0 * recipes,
        "late": [float(second) for second in range(1, recipes + 1)],
        "calls": Counter({"compute.images.list": 20}),
        "fetched": Counter({"InRelease": 1}),
        "left": SimpleNamespace(by_table=Counter(task_instance=20 * recipes), bytes=1000 * recipes),
    }
    return SimpleNamespace(recipes=recipes, **{**values, **more})


@pytest.fixture
def measured(bench: Any, monkeypatch: pytest.MonkeyPatch) -> dict[int, Any]:
    found = {
        size: SimpleNamespace(
            unchanged=night(size), changed=night(size), kept_rows={"dag_run": size}
        )
        for size in (10, 100)
    }

    def nights(recipes: int, *, changed: bool) -> Any:
        if found[recipes] is None:
            raise bench.CannotMeasure("100 recipes: the night was too long")
        found[recipes].changed = found[recipes].changed if changed else None
        return found[recipes]

    monkeypatch.setattr(bench, "nights", nights)
    return found


def printed(capsys: pytest.CaptureFixture[str]) -> list[tuple[Any, ...]]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all({"name", "value", "unit", "goal"} <= line.keys() for line in lines)
    return [(line["name"], line["recipes"], line["value"]) for line in lines]


@pytest.mark.parametrize(
    ("recipes", "slots", "seconds"), [(1, 8, 60.0), (8, 8, 60.0), (9, 8, 120.0), (100, 8, 780.0)]
)
def test_the_ideal_night_has_as_many_turns_as_the_slots_need(
    bench: Any, recipes: int, slots: int, seconds: float
) -> None:
    assert bench.ideal_seconds(recipes, slots, 60.0) == seconds


@pytest.mark.parametrize(
    ("values", "percent", "value"),
    [([5.0], 99, 5.0), (range(1, 101), 99, 99), (range(1, 101), 50, 50), ([3, 1, 2], 99, 3)],
)
def test_a_percentile_is_a_value_that_occurred(
    bench: Any, values: Any, percent: float, value: float
) -> None:
    assert bench.percentile(values, percent) == value


def test_growths_compare_the_greatest_number_with_the_least(
    bench: Any, measured: dict[int, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    measured[100].unchanged.calls = Counter(list=39)
    measured[100].unchanged.processor = 880.0
    assert bench.main(["night_calls_growth", "night_cpu_per_recipe_growth"]) == 0
    assert printed(capsys) == [
        ("night_calls_growth", [10, 100], 1.95),
        ("night_cpu_per_recipe_growth", [10, 100], 1.1),
    ]


def test_every_figure_comes_also_behind_one_that_misses_its_goal(
    bench: Any, measured: dict[int, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    measured[10].unchanged.calls = Counter(list=1)
    assert bench.main([]) == 1
    assert {name for name, *_ in printed(capsys)} == set(bench.FIGURES)


def test_what_cannot_be_measured_is_said_and_the_others_follow(
    bench: Any, measured: dict[int, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    measured[100] = None
    assert bench.main(["night_calls_growth", "10", "100", "night_lateness_p99"]) == 2
    told = capsys.readouterr()
    assert json.loads(told.out)["recipes"] == 10
    assert told.err.count("100 recipes: the night was too long") == 2


def test_one_number_of_recipes_has_no_growth_and_says_so(
    bench: Any, measured: dict[int, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main(["10", "night_calls_growth"]) == 2
    assert "a growth needs two numbers of recipes" in capsys.readouterr().err
    assert measured[10].changed is not None, "nothing was measured"


def test_the_long_night_is_run_only_where_a_figure_needs_it(
    bench: Any, measured: dict[int, Any]
) -> None:
    assert bench.main(["10", "night_calls_per_unchanged_recipe"]) == 0
    assert measured[10].changed is None


def test_all_wrong_arguments_are_told_with_the_names_that_there_are(
    bench: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main(["night_cals", "0", "10", "cpu"]) == 2
    told = capsys.readouterr().err
    assert "night_cals is no figure; cpu is no figure; 0 recipes have no night" in told
    assert "night_over_ideal" in told
