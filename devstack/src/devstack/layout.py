"""Where the files of one stack lie, below its state folder."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from devstack.topology import Topology

Machines = Literal["qemu", "instant"]


@dataclass(frozen=True)
class Layout:
    """One state folder; it is readable by its owner only, as it holds the stack's secrets."""

    state: Path

    @property
    def airflow_home(self) -> Path:
        return self.state / "airflow"

    @property
    def gce(self) -> Path:
        return self.state / "gce"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def run(self) -> Path:
        return self.state / "run"

    @property
    def supervisor_conf(self) -> Path:
        return self.state / "supervisord.conf"

    @property
    def supervisor_pid(self) -> Path:
        return self.run / "supervisord.pid"

    @property
    def secrets(self) -> Path:
        return self.state / "secrets.json"

    @property
    def passwords(self) -> Path:
        return self.state / "passwords.json"

    @property
    def record(self) -> Path:
        return self.state / "stack.json"

    @property
    def lock(self) -> Path:
        return self.state.with_name(self.state.name + ".lock")

    def make(self) -> None:
        self.state.mkdir(parents=True, exist_ok=True)
        self.state.chmod(0o700)
        for folder in (self.airflow_home, self.gce, self.logs, self.run):
            folder.mkdir(exist_ok=True)


@dataclass(frozen=True)
class Record:
    """What a running stack is and where it answers; written before anything is started."""

    project: str
    machines: Machines
    gce_project: str
    airflow_port: int
    gce_port: int
    owner_pid: int | None  # the process it lives and dies with; None: it stays (`make up`)
    topology: Topology = field(default_factory=Topology)

    @property
    def airflow_url(self) -> str:
        return f"http://127.0.0.1:{self.airflow_port}"

    @property
    def gce_url(self) -> str:
        return f"http://127.0.0.1:{self.gce_port}"

    def write(self, layout: Layout) -> None:
        write_private(layout.record, json.dumps(asdict(self), indent=1))

    @staticmethod
    def read(layout: Layout) -> Record | None:
        """None where no stack was ever started, or the file is not one of ours."""
        try:
            found = json.loads(layout.record.read_text(encoding="utf-8"))
            return Record(**{**found, "topology": Topology(**found.get("topology", {}))})
        except (OSError, ValueError, TypeError, AttributeError):
            return None


class Busy(RuntimeError):
    """Another process starts, stops or owns the stack of this state folder."""


@contextmanager
def locked(layout: Layout) -> Generator[None]:
    """Hold the state folder; the lock goes with the process, however it ends. Raises Busy."""
    layout.lock.parent.mkdir(parents=True, exist_ok=True)
    with layout.lock.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise Busy(
                f"{layout.state} is in use by process {holder}; wait for it or stop it"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def write_private(path: Path, text: str) -> None:
    """Replace the file at once; nobody else may read it, at no moment."""
    new = path.with_name(path.name + ".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    new.replace(path)
