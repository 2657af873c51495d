"""What `make bench-bake` makes of what real machines say."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.paths import PROJECT

HEALTHY = (
    '{"health": {"state": "healthy", "uptime": 21.5, "ready_seconds": 20.1, "boot_seconds": 3.25,'
    ' "detail": ""}}\n'
)


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PROJECT / "bench"))


@pytest.fixture
def real() -> Any:
    return importlib.import_module("bake_real")


@pytest.fixture
def bench() -> Any:
    return importlib.import_module("bake")


def test_a_plain_base_is_not_charged_for_telling(real: Any) -> None:
    """The later of both targets counts."""
    late = real.told_late("[ OK ] started\nPLAIN BOOT 25.50 24500000 25000000\r\nlogin:")
    assert late == pytest.approx(0.5)
    assert real.told_late("PLAIN BOOT 25.50 24500000 9000000\n") == pytest.approx(1.0)


@pytest.mark.parametrize(
    "text", ["", "PLAIN BOOT 25.50 0 25000000\n", "PLAIN BOOT 25.50 24500000 0\n"]
)
def test_a_base_that_has_not_reached_both_gives_no_figure(real: Any, text: str) -> None:
    with pytest.raises(real.CannotMeasure, match="multi-user or the network was not reached"):
        real.told_late(text)


def test_the_seconds_of_the_boot_script_are_those_of_the_health_report(real: Any) -> None:
    assert real.boot_seconds_of("noise\n" + HEALTHY) == pytest.approx(3.25)
    with pytest.raises(real.CannotMeasure, match="no boot_seconds"):
        real.boot_seconds_of(HEALTHY.replace("boot_seconds", "other"))


def test_a_line_that_is_half_written_is_not_read_yet(real: Any) -> None:
    assert not real._healthy(HEALTHY[:40])
    assert real._healthy(HEALTHY)
    assert not real._multi_user("PLAIN BOOT 25.50 2450")
    assert real._multi_user("PLAIN BOOT 25.50 24500000 25000000\r\n")


def test_an_image_that_boots_unhealthy_gives_no_figure(real: Any) -> None:
    with pytest.raises(real.CannotMeasure, match="does not get healthy"):
        real._healthy(HEALTHY.replace("healthy", "unhealthy"))


def test_machines_start_in_turn_and_each_counts(real: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    order = []

    def heard(_compute: Any, name: str, disk: Any, metadata: Any, _seen: Any) -> Any:
        image = disk["initializeParams"]["sourceImage"].rsplit("/", 1)[-1]
        order.append((name, image, sorted(metadata)))
        return (HEALTHY, 23.0) if image == "web-7" else ("PLAIN BOOT 21.0 20000000 1\n", 21.0)

    monkeypatch.setattr(real, "heard", heard)
    compute = SimpleNamespace(newest_of=lambda _family: {"name": "web-7"})
    boots = real.booted_in_turn(SimpleNamespace(compute=compute), "web")
    assert (boots.baked, boots.plain, boots.scripts) == ([23.0] * 2, [20.0] * 2, [3.25] * 2)
    assert [(image, keys) for _, image, keys in order] == [
        ("web-7", []),
        ("debian-12", ["startup-script"]),
        ("debian-12", ["startup-script"]),
        ("web-7", []),
    ]
    assert len({name for name, _, _ in order}) == 4


@pytest.mark.parametrize(("baked", "met"), [(23.0, True), (23.2, False)])
def test_the_figure_of_a_boot_has_its_goal_and_its_parts(
    real: Any, bench: Any, monkeypatch: pytest.MonkeyPatch, baked: float, met: bool
) -> None:
    boots = real.Boots([baked, baked], [20.0, 20.0], [3.25, 3.25])
    monkeypatch.setattr(real, "real", lambda: SimpleNamespace(boots=lambda: boots))
    (line,) = bench.healthy_over_plain_boot()
    assert (line["value"], line["goal"]) == (pytest.approx(baked / 20), "<= 1.15")
    assert json.loads(json.dumps(line))["seconds"]["plain"] == [20.0, 20.0]
    assert importlib.import_module("figures").met(line) is met


def test_an_instance_that_installs_at_boot_has_the_programs_that_boot_runs() -> None:
    """Without `report` it would never say that it is healthy."""
    boot = (PROJECT / "plugins/bakehouse/guest/boot.sh.j2").read_text("utf-8")
    at_boot = (PROJECT / "bench/install_at_boot.sh").read_text("utf-8")
    needed = set(re.findall(r"\$library/(report|ready|render\.py)\b", boot))
    assert needed == {"report", "ready", "render.py"}
    made = set(re.findall(r'"\$library/([a-z.]+)"\n', at_boot))
    assert needed <= made


@pytest.mark.parametrize("name", ["plain_boot.sh", "install_at_boot.sh", "install_by_hand.sh"])
def test_the_scripts_of_the_bench_are_shell(name: str) -> None:
    subprocess.run(("bash", "-n", str(PROJECT / "bench" / name)), check=True)
