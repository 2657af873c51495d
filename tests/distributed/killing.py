"""kill -9, or freeze, the one of several programs that does what is to be interrupted."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from devstack.processes import PROGRAM, marked
from devstack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

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
    """As soon as the task waits; returns the triggerer's name."""
    return _kill(bed, triggerer_of(bed, dag_id, run_id, task_id), task_id)


def triggerer_of(bed: Testbed, dag_id: str, run_id: str, task_id: str, other_than: str = "") -> str:
    """Wait until a triggerer waits for the task, which has its log open; returns its name."""
    logs = bed.stack.layout.airflow_home / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}"
    found: list[str] = []

    def waits_for_it(process: psutil.Process) -> bool:
        return ".trigger." in _open_below(process, logs / f"task_id={task_id}")

    def waits() -> bool:
        found.extend(name for name in _programs(bed, waits_for_it) if name != other_than)
        return bool(found)

    wait_until(waits, DEADLINE, f"a triggerer that waits for {task_id}", every=0.2)
    return found[0]


@contextmanager
def frozen(bed: Testbed, program: str) -> Generator[None]:
    """Nothing of it runs in the block, as on a host that is paused; then it goes on."""
    processes = _processes(bed, program)
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.resume()


def _programs(bed: Testbed, is_it: Callable[[psutil.Process], bool]) -> list[str]:
    """The supervised programs to which such processes belong."""
    return [_program(process) for process in marked(bed.stack.layout.state) if is_it(process)]


def _kill(bed: Testbed, program: str, task_id: str) -> str:
    """It and all that it has started: nobody is left to tell. supervisord starts it anew."""
    killed = _processes(bed, program)
    for process in killed:
        process.kill()
    print(f"killed {program} in the middle of {task_id}: {len(killed)} processes")
    return program


def _processes(bed: Testbed, program: str) -> list[psutil.Process]:
    return [p for p in marked(bed.stack.layout.state) if _program(p) == program]


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
