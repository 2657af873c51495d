"""What `make bench-rollout` prints, and how it ends."""

from __future__ import annotations

import importlib
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
    spec = importlib.util.spec_from_file_location("bench_rollout", PROJECT / "bench" / "rollout.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "rolled", rolled)
    monkeypatch.setattr(
        module.swap_real,
        "downtimes",
        lambda: module.swap_real.Downtimes([20.0, 22.0, 20.0, 20.0], [21.5, 44.0, 20.98]),
    )
    return module


def rolled(members: int, _pace: Any, **more: Any) -> Any:
    values: dict[str, Any] = {
        "wall": 11.0 * members,
        "by_hand": 60.0,
        "ideal": 10.0 * members,
        "reads_per_minute": 100.0,
        "calls": Counter({"compute.instances.get": members}),
        "triggerer_mb": 300.0,
        "processor": {"triggerer": 1.0},
    }
    return SimpleNamespace(members=members, **{**values, **more})


def printed(capsys: pytest.CaptureFixture[str]) -> list[tuple[str, float]]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all({"name", "value", "unit", "goal"} <= line.keys() for line in lines)
    return [(line["name"], line["value"]) for line in lines]


def test_all_figures_are_printed_and_met(bench: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main([]) == 0
    assert printed(capsys) == [
        ("rollout_over_critical_path", 1.1),
        ("rollout_over_critical_path", 1.1),
        ("rollout_reads_growth", 1.0),
        ("rollout_triggerer_mb_growth", 1.0),
        ("swap_downtime_ratio", 1.049),
    ]


def test_a_goal_that_is_missed_ends_with_1_and_the_others_follow(
    bench: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        bench, "rolled", lambda members, pace: rolled(members, pace, wall=12.0 * members)
    )
    assert bench.main(["10", "rollout_over_critical_path", "swap_downtime_ratio"]) == 1
    assert printed(capsys) == [
        ("rollout_over_critical_path", 1.2),
        ("swap_downtime_ratio", 1.049),
    ]


def test_what_cannot_be_measured_is_told_and_the_others_follow(
    bench: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> Any:
        raise bench.swap_real.CannotMeasure("no real machines here: no QEMU")

    monkeypatch.setattr(bench.swap_real, "downtimes", refuse)
    names = ["swap_downtime_ratio", "rollout_reads_growth", "rollout_over_critical_path"]
    assert bench.main(["10", *names]) == 2
    told = capsys.readouterr()
    assert "swap_downtime_ratio: no real machines here: no QEMU" in told.err
    assert "rollout_reads_growth: a growth needs two fleets" in told.err
    assert json.loads(told.out)["name"] == "rollout_over_critical_path"


def test_an_unknown_figure_and_an_empty_fleet_are_told_at_once(
    bench: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main(["0", "speed"]) == 2
    told = capsys.readouterr().err
    assert "speed is no figure; a fleet of 0 members is not rolled out: choose of rollout_" in told


@pytest.mark.parametrize(
    ("members", "at_once", "rounds"),
    [(1, 10, 1), (3, 10, 3), (10, 10, 3), (10, 1, 10), (1000, 10, 101)],
)
@pytest.mark.usefixtures("bench")
def test_the_critical_path_has_the_rounds_that_the_stages_ask_for(
    members: int, at_once: int, rounds: int
) -> None:
    stack = importlib.import_module("rollout_stack")
    assert stack.rounds(members, (1, "50%", "100%"), at_once) == rounds


def test_members_that_are_ready_sooner_and_more_of_them_at_a_time(bench: Any) -> None:
    told: list[Any] = []

    def remembered(members: int, pace: Any) -> Any:
        told.append(pace)
        return rolled(members, pace)

    bench.rolled = remembered
    settings = ["boot_seconds=3", "max_unavailable=10%"]
    assert bench.main(["1000", "rollout_over_critical_path", *settings]) == 0
    (pace,) = told
    assert (pace.boot_seconds, pace.at_once(1000), pace.at_once(10)) == (3.0, 100, 1)


def test_an_unknown_setting_is_told(bench: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["10", "speed=9"]) == 2
    assert "speed: no such setting" in capsys.readouterr().err


def test_a_swap_is_compared_with_its_neighbours_and_a_disturbed_one_does_not_count(
    bench: Any,
) -> None:
    """The machine gets slower all the time, and something else has disturbed the second swap."""
    slower = bench.swap_real.Downtimes([20.0, 40.0, 80.0, 160.0], [30.0, 300.0, 120.0])
    assert slower.ratio == pytest.approx(1.0)
