"""Ends every process of a stack, in whatever state it is, and returns those that survive."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from devstack import processes

if TYPE_CHECKING:
    from devstack.layout import Layout

# supervisord gives localgce 30 s and Airflow 8; they follow each other
ORDERLY = 45.0


def end_stack(layout: Layout) -> list[str]:
    """In order if supervisord lives, else one by one; returns what is left: nothing, normally."""
    supervisor = supervisor_of(layout)
    if supervisor is not None:
        _ask_to_stop(supervisor)
    left: list[psutil.Process] = []
    for _ in range(3):  # a process that starts during one search is found by the next
        left = processes.end(processes.marked(layout.state), grace=2)
    layout.supervisor_pid.unlink(missing_ok=True)
    return [processes.describe(process) for process in left]


def supervisor_of(layout: Layout) -> psutil.Process | None:
    """The living supervisord of this state folder; a number that another process got is not it."""
    try:
        process = psutil.Process(int(layout.supervisor_pid.read_text(encoding="ascii")))
    except (OSError, ValueError, psutil.Error):
        return None
    return process if processes.belongs(process, processes.mark_of(layout.state)) else None


def _ask_to_stop(supervisor: psutil.Process) -> None:
    with suppress(psutil.Error):  # what it leaves is ended one by one
        supervisor.terminate()
        supervisor.wait(ORDERLY)


def forget_machines(layout: Layout) -> None:
    """`localgce reset`: no machine and no disk of this state is left, even after kill -9."""
    if layout.gce.exists():
        command = [sys.executable, str(Path(sys.executable).with_name("localgce")), "reset"]
        command += ["--state", str(layout.gce)]
        with suppress(OSError, subprocess.TimeoutExpired):  # the folder goes all the same
            subprocess.run(command, check=False, capture_output=True, timeout=60)
        shutil.rmtree(layout.gce, ignore_errors=True)
