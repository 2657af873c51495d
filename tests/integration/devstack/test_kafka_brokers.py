"""The process of a broker does not outlive the one that started it, however that ends."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest
from tests.support.deadlines import SOON

from devstack.kafka.brokers import Broker, Image
from devstack.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

STARTS = """
import sys
from pathlib import Path
from devstack.kafka.brokers import Broker, Image

folder = Path(sys.argv[1])
broker = Broker(1, folder / "b1", str(folder / "java"), Image(folder))
broker.begin()
print(broker.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def java(tmp_path: Path) -> str:
    """A program that ignores SIGTERM, as a broker does that waits for its controller."""
    program = tmp_path / "java"
    program.write_text("#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 0.1; done\n")
    program.chmod(0o755)
    return str(program)


@pytest.mark.usefixtures("java")
def test_a_broker_ends_with_a_test_run_that_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTS, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        broker = psutil.Process(int(run.stdout.readline()))
        assert broker.is_running()
        run.kill()
        run.wait()
        broker.wait(SOON)


def test_a_frozen_broker_can_be_killed_and_one_that_runs_is_not_started_again(
    tmp_path: Path, java: str
) -> None:
    broker = Broker(1, tmp_path / "b1", java, Image(tmp_path))
    broker.begin()
    try:
        with pytest.raises(AssertionError, match="broker 1 runs already"):
            broker.begin()
        process = psutil.Process(broker.pid)
        with broker.frozen():
            wait_until(lambda: process.status() == psutil.STATUS_STOPPED, SOON, "stop", every=0.01)
            assert broker.running
        wait_until(lambda: process.status() != psutil.STATUS_STOPPED, SOON, "go on", every=0.01)
        with broker.frozen():
            broker.kill()
    finally:
        broker.kill()
    assert not broker.running
