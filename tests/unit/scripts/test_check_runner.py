"""scripts/test.py: what runs in which order, how a stage ended, and what is kept of a part."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from tests.support.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import ModuleType

PASSES = "print('3 passed in 0.10s')"
SKIPS = "print('2 skipped in 0.10s')"
FAILS = "raise SystemExit(1)"


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_runner", PROJECT / "scripts/test.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "check_runner", module)
    spec.loader.exec_module(module)
    monkeypatch.delenv("KEEP_GOING", raising=False)
    return module


def python(*programs: str) -> list[list[str]]:
    return [[sys.executable, "-c", program] for program in programs]


def states(outcomes: Mapping[str, Any]) -> dict[str, str]:
    return {name: outcome.state for name, outcome in outcomes.items()}


def test_a_stage_ends_as_its_commands_do(
    runner: ModuleType, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    stages = [
        runner.Stage("units", python(PASSES)),
        runner.Stage("vm", python(SKIPS)),
        runner.Stage("types", python(FAILS, PASSES)),
        runner.Stage("flow", python(PASSES)),
    ]
    outcomes = runner.run(stages, 250)
    assert states(outcomes) == {"units": "passed", "vm": "skipped", "types": "failed"}
    assert outcomes["units"].said == "3 passed in 0.10s"
    assert "FAILED   types" in capfdbinary.readouterr().out.decode()


def test_the_later_stages_run_too_when_that_is_asked_for(
    runner: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEEP_GOING", "1")
    stages = [runner.Stage("types", python(FAILS)), runner.Stage("units", python(PASSES))]
    outcomes = runner.run(stages, 250)
    assert [outcome.state for outcome in outcomes.values()] == ["failed", "passed"]


def test_a_stage_beside_the_others_begins_first_and_is_shown_last(
    runner: ModuleType, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    begun = tmp_path / "begun"
    begins = f"import pathlib; print('beside'); pathlib.Path({str(begun)!r}).touch()"
    waits = (
        f"import pathlib, time\nwhile not pathlib.Path({str(begun)!r}).exists(): time.sleep(.02)"
    )
    stages = [
        runner.Stage("vm", python(begins), beside=True),
        runner.Stage("units", python(f"{waits}\nprint('in front')")),
    ]
    outcomes = runner.run(stages, 250)
    assert states(outcomes) == {
        "units": "passed",
        "vm": "passed",
    }
    shown = capfdbinary.readouterr().out.decode()
    assert shown.index("in front") < shown.index("=== vm") < shown.index("\nbeside\n")


def test_stages_beside_the_others_run_one_after_the_other(
    runner: ModuleType, tmp_path: Path
) -> None:
    ended = tmp_path / "ended"
    first = f"import pathlib, time; time.sleep(0.5); pathlib.Path({str(ended)!r}).touch()"
    second = f"import pathlib; assert pathlib.Path({str(ended)!r}).exists()"
    stages = [
        runner.Stage("vm", python(first), beside=True),
        runner.Stage("kafka", python(second), beside=True),
        runner.Stage("units", python(PASSES)),
    ]
    outcomes = runner.run(stages, 250)
    assert states(outcomes) == {
        "units": "passed",
        "vm": "passed",
        "kafka": "passed",
    }


def test_a_stage_that_waits_for_one_beside_does_not_begin_when_another_fails(
    runner: ModuleType, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    stages = [
        runner.Stage("vm", python("import time; time.sleep(250)"), beside=True),
        runner.Stage("kafka", python(f"open({str(begun)!r}, 'w')"), beside=True),
        runner.Stage("units", python(FAILS)),
    ]
    outcomes = runner.run(stages, 250)
    assert states(outcomes) == {
        "units": "failed",
        "vm": "stopped",
        "kafka": "stopped",
    }
    assert not begun.exists()


def test_a_stage_whose_time_is_over_is_stopped(runner: ModuleType) -> None:
    began = time.monotonic()
    outcomes = runner.run([runner.Stage("flow", python("import time; time.sleep(600)"))], 1)
    assert outcomes["flow"].state == "stopped"
    assert time.monotonic() - began < 250, "it does not wait for the stage's own end"


def test_a_process_that_a_stage_left_does_not_hold_it(runner: ModuleType) -> None:
    leaves = (
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(100)'])"
    )
    began = time.monotonic()
    outcomes = runner.run([runner.Stage("flow", python(leaves))], 250)
    assert outcomes["flow"].state == "passed"
    assert time.monotonic() - began < 100, "the process still has its output open"


RUNNER = f"""
import importlib.util, sys
spec = importlib.util.spec_from_file_location("check_runner", {str(PROJECT / "scripts/test.py")!r})
runner = importlib.util.module_from_spec(spec)
sys.modules["check_runner"] = runner
spec.loader.exec_module(runner)
runner.listen()
stage = "import time; print('runs', flush=True); time.sleep(250)"
beside = runner.Stage("vm", [[sys.executable, "-c", stage]], beside=True)
runner.run([beside, runner.Stage("units", [[sys.executable, "-c", stage]])], 250)
"""


@pytest.mark.parametrize("ends", [signal.SIGTERM, signal.SIGINT])
def test_who_ends_the_checks_ends_all_stages(ends: signal.Signals) -> None:
    """A shell starts background jobs with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        command = [sys.executable, "-c", RUNNER]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout is not None
            while b"runs" not in process.stdout.readline():
                pass
            children = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(ends)
            process.wait(100)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(children) == 2
    assert psutil.wait_procs(children, timeout=100)[1] == []


def test_parts_that_run_one_by_one_add_up(
    runner: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    record = tmp_path / ".bakehouse/test-all.json"
    parts = (runner.Stage("vm", python(PASSES)), runner.Stage("chaos", python(FAILS)))
    monkeypatch.setattr(runner, "RECORD", record)
    monkeypatch.setattr(runner, "PARTS", parts)
    assert runner.run_parts(["vm"])
    assert not runner.run_parts(["chaos"])
    kept = json.loads(record.read_text())
    assert {name: found["state"] for name, found in kept.items()} == {
        "vm": "passed",
        "chaos": "failed",
    }
    assert all(found["commit"] and found["when"] for found in kept.values())


@pytest.mark.parametrize("arguments", [["parts", "vmm"], ["unit"], ["all", "vm"]])
def test_an_unknown_name_is_refused_with_those_that_are_known(
    runner: ModuleType, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert runner.main(arguments) == 2
    assert "known: " in capsys.readouterr().err
