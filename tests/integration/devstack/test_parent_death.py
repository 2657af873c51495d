"""A program that must not outlive its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from devstack import parent_death
from devstack.processes import MARK, PROGRAM
from devstack.waiting import wait_until

if TYPE_CHECKING:
    import pytest

PARENT_DEATH = str(Path(parent_death.__file__))
SLEEP = [sys.executable, "-c", "import time; time.sleep(900)"]


def start(*command: str, **variables: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, env={**os.environ, **variables})


def test_the_program_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    parent = start(
        sys.executable,
        "-c",
        "import os, subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, {PARENT_DEATH!r}, '--parent', str(os.getpid()),"
        f" '--name', 'sleeper', '--run', {str(tmp_path)!r}, '--', *{SLEEP!r}])\n"
        "time.sleep(900)\n",
    )
    note = tmp_path / "sleeper.pid"
    wait_until(lambda: note.exists() and note.read_text() != "", 200, "the program to start")
    child = psutil.Process(int(note.read_text()))
    parent.kill()
    parent.wait()
    child.wait(250)
    assert len((tmp_path / "sleeper.starts").read_text().splitlines()) == 1


def test_a_parent_that_is_gone_already_starts_nothing() -> None:
    program = start(sys.executable, PARENT_DEATH, "--parent", "1", "--", *SLEEP)
    assert program.wait(250) == 0


def test_a_program_that_is_not_there_is_told_on_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    me = str(os.getpid())
    program = start(sys.executable, PARENT_DEATH, "--parent", me, "--", "/no/such/program")
    assert program.wait(250) == 127
    assert capfd.readouterr().err == "cannot start /no/such/program: No such file or directory\n"


def test_alone_ends_what_an_earlier_start_left_and_nothing_else(tmp_path: Path) -> None:
    mark = {MARK: str(tmp_path)}
    left = start(*SLEEP, **mark, **{PROGRAM: "scheduler"})
    other = start(*SLEEP, **mark, **{PROGRAM: "api-server"})
    foreign = start(*SLEEP, **{MARK: "elsewhere", PROGRAM: "scheduler"})
    try:
        parent = tmp_path / "parent.pid"
        parent.write_text(str(os.getpid()))
        again = start(
            sys.executable, PARENT_DEATH, "--parent", str(parent), "--name", "scheduler",
            "--run", str(tmp_path), "--alone", "--", "true", **mark,
        )  # fmt: skip
        assert again.wait(250) == 0
        assert left.wait(250) == -signal.SIGKILL
        assert other.poll() is None
        assert foreign.poll() is None
    finally:
        for process in (left, other, foreign):
            process.kill()
            process.wait()
