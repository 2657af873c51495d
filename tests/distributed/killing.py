"""kill -9 the one of several programs that does what is to be interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from devstack.processes import PROGRAM, marked
from devstack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from devstack.testbed import Testbed

DEADLINE = 600  # seconds until what is to be interrupted has begun


def kill_worker_of(bed: Testbed, dag_id: str, run_id: str, task_id: str) -> str:
    """As soon as the task, or the first of those mapped, runs; returns the worker's name."""
    path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances"

    def runs_it(process: psutil.Process) -> bool:
        return _command(process).startswith(titles)

    titles: tuple[str, ...] = ()
    found: list[str] = []

    def runs() -> bool:
        nonlocal titles
        tasks = bed.airflow.call("GET", path, params={"limit": 100})["task_instances"]
        ids = [t["id"] for t in tasks if t["task_id"] == task_id and t["map_index"] <= 0]
        titles = tuple(f"airflow worker -- {id_}"[:56] for id_ in ids)
        found.extend(_programs(bed, runs_it) if titles else [])
        return bool(found)

    wait_until(runs, DEADLINE, f"a process of {task_id}", every=0.1)
    return _kill(bed, found[0], task_id)


def kill_triggerer_of(bed: Testbed, dag_id: str, run_id: str, task_id: str) -> str:
    """As soon as the task waits: its triggerer has its log open; returns the triggerer's name."""
    logs = bed.stack.layout.airflow_home / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}"
    found: list[str] = []

    def waits_for_it(process: psutil.Process) -> bool:
        return ".trigger." in _open_below(process, logs / f"task_id={task_id}")

    def waits() -> bool:
        found.extend(_programs(bed, waits_for_it))
        return bool(found)

    wait_until(waits, DEADLINE, f"a triggerer that waits for {task_id}", every=0.2)
    return _kill(bed, found[0], task_id)


def _programs(bed: Testbed, is_it: Callable[[psutil.Process], bool]) -> list[str]:
    """The supervised programs to which such processes belong."""
    return [_program(process) for process in marked(bed.stack.layout.state) if is_it(process)]


def _kill(bed: Testbed, program: str, task_id: str) -> str:
    """It and all that it has started: nobody is left to tell. supervisord starts it anew."""
    killed = [p for p in marked(bed.stack.layout.state) if _program(p) == program]
    for process in killed:
        process.kill()
    print(f"killed {program} in the middle of {task_id}: {len(killed)} processes")
    return program


def _program(process: psutil.Process) -> str:
    try:
        return process.environ().get(PROGRAM, "")
    except psutil.Error:
        return ""


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _open_below(process: psutil.Process, folder: Path) -> str:
    """The files below the folder that the process has open."""
    try:
        paths = [file.path for file in process.open_files()]
    except (psutil.Error, OSError):
        return ""
    return "\n".join(path for path in paths if Path(path).is_relative_to(folder))
