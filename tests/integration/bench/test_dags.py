"""What `make bench-dags` prints, and how it ends."""

from __future__ import annotations

import importlib.util
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def bench() -> Any:
    spec = importlib.util.spec_from_file_location("bench_dags", PROJECT / "bench" / "dags.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_figure_comes_also_behind_one_that_misses_its_goal_or_fails(
    bench: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def misses() -> Iterator[Any]:
        yield bench.line("s", 4.0, 3.0)
        yield bench.line("s", 1.0)

    def ends() -> Iterator[Any]:
        yield bench.line("s", 2.0)
        raise SystemExit("the run ended failed")

    def breaks() -> Iterator[Any]:
        yield bench.line("ratio", 1 / 0)

    def holds() -> Iterator[Any]:
        yield bench.line("ratio", 1.0, 1.1)

    figures = {one.__name__: one for one in (misses, ends, breaks, holds)}
    monkeypatch.setattr(bench, "FIGURES", figures)
    assert bench.main([]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["name"], line.get("value", line.get("error"))) for line in lines] == [
        ("misses", 4.0),
        ("misses", 1.0),
        ("ends", 2.0),
        ("ends", "the run ended failed"),
        ("breaks", "division by zero"),
        ("holds", 1.0),
    ]
    assert bench.main(["holds"]) == 0
    assert bench.main(["breaks"]) == 1
