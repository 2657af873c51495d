"""Where the files of one stack lie, below its state folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """One state folder; only its owner can read it, since it holds the stack's credentials."""

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
    def credentials(self) -> Path:
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
