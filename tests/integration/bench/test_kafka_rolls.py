"""What `make bench-kafka` prints, and how it ends."""

from __future__ import annotations

import importlib
import json
from typing import Any

import pytest
from tests.support.paths import PROJECT

from devstack.kafka.artefacts import ArtefactError
from devstack.kafka.traffic import BelowMinIsr, Proof, Record

ROLLS = ["kafka_records_lost", "kafka_partitions_below_min_isr", "kafka_longest_pause_ratio"]
ON_MACHINES = ["kafka_boot_over_plain", "kafka_install_over_baked"]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(PROJECT / "bench"))
    module = importlib.import_module("kafka_rolls")
    monkeypatch.setattr(module, "measured", found)
    machines = importlib.import_module("kafka_real")  # no machine is started here
    starts = machines.Starts((20.0, 21.0), (20.0, 20.0), (40.0, 41.0))
    monkeypatch.setattr(machines, "starts", lambda: starts)
    monkeypatch.setattr(machines, "installed", lambda: machines.Installed(60.0, 330.0))
    return module


def proof(pause: float, **more: Any) -> Proof:
    values: dict[str, Any] = {
        "acknowledged": 1000,
        "lost": (),
        "out_of_order": (),
        "missed": (),
        "skipped": (),
        "failed": (),
        "below_min_isr": (),
        "looks": (1.0, 2.0),
        "longest_pause": pause,
    }
    return Proof(**{**values, **more})


def found(rolls: int, **more: Any) -> Any:
    module = importlib.import_module("kafka_rolls")
    ours = tuple(proof(1.2, **more) for _ in range(rolls))
    return module.Found(ours, tuple(proof(1.0) for _ in range(rolls)))


def printed(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_all_figures_are_printed_and_met(bench: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["2"]) == 0
    lines = printed(capsys)
    assert [line["name"] for line in lines] == [*ROLLS, *ON_MACHINES] == list(bench.FIGURES)
    assert [line["value"] for line in lines] == [0, 0, 1.2, pytest.approx(1.025), 5.5]
    assert [line["goal"] for line in lines] == ["<= 0", "<= 0", "<= 1.5", "<= 1.05", ">= 5"]
    assert lines[0]["acknowledged"] == 4000
    assert lines[1]["looks"] == 8
    assert lines[2]["seconds"] == {"by_orders": [1.2, 1.2], "by_hand": [1.0, 1.0]}


@pytest.mark.parametrize(
    ("fault", "missed", "value"),
    [
        ({"lost": (Record(0, 1, 2),), "missed": (Record(0, 1, 2), Record(1, 1, 3))}, 0, 2),
        ({"below_min_isr": tuple(BelowMinIsr(at, "a", 0, (1,)) for at in (1.0, 2.0))}, 1, 1),
        ({"longest_pause": 1.6}, 2, 1.6),
    ],
)
def test_a_figure_that_misses_its_goal_ends_with_1_and_all_are_printed(
    bench: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fault: dict[str, Any],
    missed: int,
    value: float,
) -> None:
    monkeypatch.setattr(
        bench,
        "measured",
        lambda _: bench.Found((proof(**{"pause": 1.0, **renamed(fault)}),), (proof(1.0),)),
    )
    assert bench.main(ROLLS) == 1
    lines = printed(capsys)
    assert len(lines) == 3
    assert lines[missed]["value"] == value


def renamed(fault: dict[str, Any]) -> dict[str, Any]:
    return {"pause" if name == "longest_pause" else name: more for name, more in fault.items()}


def test_what_cannot_be_measured_ends_with_2_and_says_why(
    bench: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(rolls: int) -> Any:
        raise bench.CannotMeasure(str(ArtefactError(f"{rolls} jars could not be fetched")))

    monkeypatch.setattr(bench, "measured", refuse)
    assert bench.main(["7", "kafka_records_lost"]) == 2
    assert "kafka_records_lost: 7 jars could not be fetched" in capsys.readouterr().err


def test_an_unknown_figure_and_no_rolls_are_told_at_once(
    bench: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main(["0", "speed"]) == 2
    told = capsys.readouterr().err
    assert "speed is no figure; 0 rolls cost nothing: choose of kafka_records_lost" in told
