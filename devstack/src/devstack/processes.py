"""Finds and ends the processes of a stack.

Every process of a stack carries the stack's state folder in its environment, so that those whose
parent has died are found as well. Only processes with this mark are ever signalled.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from pathlib import Path

MARK = "BAKEHOUSE_STACK"
PROGRAM = "BAKEHOUSE_PROGRAM"


def mark_of(state: Path) -> str:
    """The value of the environment variable that marks the processes of a stack."""
    return str(state.resolve())


def marked(state: Path) -> list[psutil.Process]:
    """The living processes of this stack, but for the caller itself."""
    mark = mark_of(state)
    return [p for p in psutil.process_iter() if p.pid != os.getpid() and belongs(p, mark)]


def belongs(process: psutil.Process, mark: str) -> bool:
    """Whether the process is alive and carries the mark."""
    try:
        return process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):
        return False


def end(processes: list[psutil.Process], grace: float) -> list[psutil.Process]:
    """Ask them to end, and kill those that have not after `grace` seconds; returns survivors."""
    for process in processes:
        _signal(process, kill=False)
    _, alive = psutil.wait_procs(processes, timeout=grace)
    for process in alive:
        _signal(process, kill=True)
    _, alive = psutil.wait_procs(alive, timeout=5)
    return alive


def _signal(process: psutil.Process, *, kill: bool) -> None:
    with suppress(psutil.Error):
        process.kill() if kill else process.terminate()


def describe(process: psutil.Process) -> str:
    """Pid and command line, for messages."""
    try:
        return f"{process.pid} {' '.join(process.cmdline())[:100]}"
    except psutil.Error:
        return str(process.pid)
