"""A stack ends with its owner, however that ends; a crashed one is found and cleaned."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from tests.support.paths import PROJECT

from devstack.layout import Layout
from devstack.ports import free_port, port_is_free
from devstack.processes import marked
from devstack.record import Record
from devstack.stack import Stack
from devstack.teardown import end_stack
from devstack.waiting import wait_until

OWNER = Path(__file__).with_name("owner.py")
PROGRAMS = 6

Start = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "a state; with %(odd)s name"
    yield folder
    assert end_stack(Layout(folder)) == []


@pytest.fixture
def start(state: Path) -> Iterator[Start]:
    pipes = ExitStack()

    def owner() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(OWNER), str(PROJECT), str(state)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        pipes.callback(process.stdout.close)
        assert process.stdout.readline() == "up\n"
        return process

    with pipes:
        yield owner


def nothing_runs(state: Path) -> bool:
    return not marked(state)


def reapers(state: Path) -> list[psutil.Process]:
    return [
        p
        for p in psutil.process_iter(["cmdline"])
        if "devstack.reaper" in (p.info["cmdline"] or ())
        and str(state) in (p.info["cmdline"] or ())
    ]


@pytest.mark.long
def test_a_signal_stops_everything_in_order(start: Start, state: Path) -> None:
    owner = start()
    # supervisord, the programs, and the child of each
    wait_until(lambda: len(marked(state)) == 1 + 2 * PROGRAMS, 200, "all to run")
    owner.send_signal(signal.SIGHUP)
    out, _ = owner.communicate(timeout=250)
    assert out == "ended by SIGHUP\nleft []\n"
    assert nothing_runs(state)
    assert reapers(state) == []
    assert not (state / "gce").exists()


def test_kill_9_of_the_owner_leaves_nothing(start: Start, state: Path) -> None:
    owner = start()
    owner.kill()
    owner.wait()
    wait_until(lambda: nothing_runs(state) and not reapers(state), 200, "all to end")
    assert not (state / "gce").exists()


@pytest.mark.chaos
def test_kill_9_of_owner_and_supervisor_at_once_leaves_nothing(start: Start, state: Path) -> None:
    owner = start()
    supervisor = psutil.Process(int(Layout(state).supervisor_pid.read_text()))
    supervisor.kill()
    owner.kill()
    owner.wait()
    wait_until(lambda: nothing_runs(state) and not reapers(state), 200, "all to end")
    assert not supervisor.is_running() or supervisor.status() == psutil.STATUS_ZOMBIE


@pytest.mark.chaos
def test_what_a_killed_reaper_and_owner_left_is_cleaned_at_the_next_start(
    start: Start, state: Path
) -> None:
    owner = start()
    for reaper in reapers(state):
        reaper.kill()
    strays = [p for p in marked(state) if p.ppid() != owner.pid]
    owner.kill()
    owner.wait()
    again = start()
    assert not [p for p in strays if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    again.terminate()
    assert again.wait(250) == 0


@pytest.mark.chaos
def test_a_program_that_dies_is_started_anew_and_its_leftovers_go(
    start: Start, state: Path
) -> None:
    owner = start()
    layout = Layout(state)
    note = layout.run / "scheduler.pid"
    first = psutil.Process(int(note.read_text()))
    wait_until(lambda: len(first.children()) == 1, 200, "its child")
    orphan = first.children()[0]
    first.kill()
    wait_until(lambda: int(note.read_text() or 0) != first.pid, 200, "the next scheduler")
    orphan.wait(250)
    assert len((layout.run / "scheduler.starts").read_text().splitlines()) == 2
    owner.terminate()
    assert owner.wait(250) == 0


def test_a_foreign_process_with_the_old_number_is_let_alone(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "state")
    layout.make()
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(900)"])
    try:
        layout.supervisor_pid.write_text(str(bystander.pid))
        assert end_stack(layout) == []
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_stack_that_stays_keeps_its_ports_while_they_are_free(tmp_path: Path) -> None:
    stack = Stack(PROJECT, tmp_path / "state", "instant", stays=True)
    stack.layout.make()
    port = free_port()
    Record(str(PROJECT), "instant", "p", port, free_port(), None).write(stack.layout)
    assert stack._new_record().airflow_port == port
    assert port_is_free(port)


def test_without_a_stack_the_health_says_so(tmp_path: Path) -> None:
    health = Stack(PROJECT, tmp_path / "state", "instant").health()
    assert not health.ok
    assert health.missing == ["stack"]
