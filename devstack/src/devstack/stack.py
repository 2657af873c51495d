"""localgce and all components of Airflow on one machine, started and stopped together."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from bakehouse.config.airflow_settings import Settings, load_settings
from devstack.credentials import USER, Credentials
from devstack.environment import stack_environment
from devstack.health import Health, stack_health
from devstack.layout import Layout
from devstack.ports import free_port, port_is_free
from devstack.private_file import write_private
from devstack.processes import MARK
from devstack.programs import PARENT_DEATH, programs
from devstack.reaper import DONE
from devstack.record import Machines, Record
from devstack.serving import GCE_PROJECT
from devstack.settings import with_endpoint
from devstack.startup import wait_until_healthy
from devstack.supervisor_conf import render
from devstack.teardown import end_stack, forget_machines
from devstack.topology import Topology

if TYPE_CHECKING:
    from pathlib import Path

START_DEADLINE = 240.0  # seconds; 30 on two idle cores, the first start of all compiles Airflow
PREFERRED_PORTS = {"airflow": 8080, "gce": 8790}

Progress = Callable[[str], None]


class StackError(RuntimeError):
    """The stack could not be started or stopped; the message names the log."""


class Stack:
    """One stack. It ends with this process, unless `stays` (`make up`).

    project: the folder with dags/, plugins/ and airflow_settings.yaml.
    state: the folder that the stack writes to; a start empties it unless the stack stays.
    guest: the guest program of instant machines.
    topology: the processes of Airflow; its database and broker are the caller's.
    """

    def __init__(
        self,
        project: Path,
        state: Path,
        machines: Machines = "qemu",
        guest: Path | None = None,
        *,
        stays: bool = False,
        topology: Topology | None = None,
        progress: Progress = lambda _: None,
    ) -> None:
        self.project = project.resolve()
        self.layout = Layout(state.resolve())
        self.machines = machines
        self.guest = guest
        self.stays = stays
        self.topology = topology or Topology()
        self.progress = progress
        self._reaper: subprocess.Popen[bytes] | None = None
        self._supervisor: subprocess.Popen[bytes] | None = None

    @property
    def record(self) -> Record:
        """Ports and topology of the stack; StackError when none was started."""
        record = Record.read(self.layout)
        if record is None:
            raise StackError(f"no stack was started in {self.layout.state}")
        return record

    @property
    def user(self) -> str:
        """The user that may log in to Airflow."""
        return USER

    @property
    def password(self) -> str:
        """That user's password."""
        return Credentials.of(self.layout).password

    def start(self, deadline: float = START_DEADLINE) -> None:
        """Returns when everything is healthy; on any failure nothing is left running.

        Raises StackError, or SettingsError for airflow_settings.yaml.
        """
        began = time.monotonic()
        settings = load_settings(self.project / "airflow_settings.yaml")
        self.clean()
        self.layout.make()
        record = self._new_record()
        record.write(self.layout)
        try:
            self._launch(record, settings)
            wait_until_healthy(self.layout, record, deadline, self.progress)
        except BaseException:
            self.stop()
            raise
        self.progress(f"the stack is up after {time.monotonic() - began:.0f} s")

    def clean(self) -> None:
        """End what an earlier stack of this folder left; empty the folder unless this one stays."""
        if self.layout.state.exists():
            left = end_stack(self.layout)
            if left:
                raise StackError(f"processes of an earlier stack do not end: {'; '.join(left)}")
            if not self.stays:
                forget_machines(self.layout)
                shutil.rmtree(self.layout.state)

    def stop(self) -> list[str]:
        """Stop in order, then kill what is left; returns the survivors, normally none."""
        left = end_stack(self.layout)
        if not self.stays:
            forget_machines(self.layout)
        if self._supervisor is not None:
            self._supervisor.wait(timeout=10)
            self._supervisor = None
        self._stop_reaper()
        return left

    def health(self) -> Health:
        """The checks of the stack, also when it does not run."""
        return stack_health(self.layout, Record.read(self.layout))

    def environment(self) -> dict[str, str]:
        """Of the stack's processes; with it an `airflow` command uses the stack's database."""
        return stack_environment(self.layout, self.record, Credentials.of(self.layout), os.environ)

    def _new_record(self) -> Record:
        known = Record.read(self.layout)
        return Record(
            project=str(self.project),
            machines=self.machines,
            gce_project=GCE_PROJECT,
            airflow_port=self._port("airflow", known.airflow_port if known else None),
            gce_port=self._port("gce", known.gce_port if known else None),
            owner_pid=None if self.stays else os.getpid(),
            topology=self.topology,
        )

    def _port(self, kind: str, last: int | None) -> int:
        """A stack that stays keeps its last port, or gets the usual one, where that is free."""
        if self.stays:
            for port in filter(None, (last, PREFERRED_PORTS[kind])):
                if port_is_free(port):
                    return port
        return free_port()

    def _launch(self, record: Record, settings: Settings) -> None:
        environment = self.environment()
        self.progress("making Airflow's database")
        self._prepare(with_endpoint(settings, record.gce_url, record.gce_project), environment)
        own = {k: v for k, v in environment.items() if os.environ.get(k) != v}
        write_private(self.layout.environment, json.dumps(own, indent=1))
        stack = programs(record, self.layout, self.guest)
        self.layout.supervisor_conf.write_text(render(stack, self.layout), encoding="utf-8")
        for note in self.layout.run.iterdir():
            note.unlink()
        if not self.stays:
            self._start_reaper()
        self.progress("starting localgce and Airflow")
        self._supervise(environment)

    def _prepare(self, settings: Settings, environment: dict[str, str]) -> None:
        log = self.layout.logs / "prepare.log"
        with log.open("w", encoding="utf-8") as out:
            done = subprocess.run(
                [sys.executable, "-m", "devstack.prepare"],
                input=settings.model_dump_json().encode(),
                stdout=out,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=self.layout.state,
                check=False,
            )
        if done.returncode != 0:
            raise StackError(f"Airflow's database could not be made: {last_line(log)} (see {log})")

    def _supervise(self, environment: dict[str, str]) -> None:
        command = [sys.executable, "-m", "supervisor.supervisord", "-n", "-c"]
        command.append(str(self.layout.supervisor_conf))
        if not self.stays:
            self._only_from_main_thread()
            with_us = [sys.executable, "-I", str(PARENT_DEATH), "--parent", str(os.getpid()), "--"]
            command = [*with_us, *command]
        with (self.layout.logs / "supervisord.out").open("w", encoding="utf-8") as out:
            self._supervisor = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=self.layout.state,
                start_new_session=True,  # Ctrl-C goes to the owner only, which stops it in order
            )

    def _only_from_main_thread(self) -> None:
        """The kernel counts the end of the starting *thread* as the end of the parent."""
        if threading.current_thread() is not threading.main_thread():
            raise StackError("a stack that does not stay must be started from the main thread")

    def _start_reaper(self) -> None:
        environment = {k: v for k, v in os.environ.items() if k != MARK}
        self._reaper = subprocess.Popen(
            [sys.executable, "-m", "devstack.reaper", str(self.layout.state)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )

    def _stop_reaper(self) -> None:
        if self._reaper is not None:
            self._reaper.communicate(DONE)
            self._reaper = None


def last_line(log: Path) -> str:
    """The last line of the log that is not empty."""
    lines = [
        line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line
    ]
    return lines[-1].strip() if lines else "no output"
