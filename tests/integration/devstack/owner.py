"""Owns a stack of sleeping programs, for tests that end it in every way.

python owner.py PROJECT STATE  starts it, prints `up`, and stops it in order when told to end.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import devstack.stack as module
from devstack.programs import Program, programs
from devstack.signals import Ended, ending_raises
from devstack.waiting import wait_until

if TYPE_CHECKING:
    from devstack.layout import Layout
    from devstack.record import Machines, Record


def sleepers(record: Record, layout: Layout, guest: Path | None) -> list[Program]:
    found = programs(record, layout, guest)
    command = (sys.executable, __file__, "sleep")
    return [replace(program, command=command, stop_seconds=1) for program in found]


def sleep() -> None:
    """With a child in a session of its own: what a supervisor does not know of."""
    forever = [sys.executable, "-c", "import time; time.sleep(600)"]
    subprocess.run(forever, start_new_session=True, check=False)


def until_started(layout: Layout, record: Record, deadline: float, progress: object) -> None:  # ruff: ignore[unused-function-argument]  as in the function that it replaces
    wait_until(lambda: len(list(layout.run.glob("*.starts"))) == 6, 200, "six programs")


class SleepingStack(module.Stack):
    def _prepare(self, settings: object, environment: object) -> None:
        """There is no database."""


def main(project: Path, state: Path, machines: Machines) -> None:
    vars(module).update(programs=sleepers, wait_until_healthy=until_started)
    stack = SleepingStack(project, state, machines)
    with ending_raises():
        try:
            stack.start()
            print("up", flush=True)
            threading.Event().wait(60)
        except Ended as ended:
            print(f"ended by {ended}", flush=True)
        finally:
            print(f"left {stack.stop()}", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "sleep":
        sleep()
    else:
        main(Path(sys.argv[1]), Path(sys.argv[2]), "instant")
