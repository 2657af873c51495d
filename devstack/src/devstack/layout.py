"""Where the files of one stack lie, below its state folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """One state folder; only its owner can read it, since it holds the stack's credentials."""

    state: Path

    @property
    def airflow_home(self) -> Path:
        """AIRFLOW_HOME of the stack."""
        return self.state / "airflow"

    @property
    def gce(self) -> Path:
        """The state of localgce."""
        return self.state / "gce"

    @property
    def logs(self) -> Path:
        """The logs of the processes."""
        return self.state / "logs"

    @property
    def run(self) -> Path:
        """The pid files, and the times of starts."""
        return self.state / "run"

    @property
    def supervisor_conf(self) -> Path:
        """The configuration of supervisord."""
        return self.state / "supervisord.conf"

    @property
    def supervisor_pid(self) -> Path:
        """The pid file of supervisord."""
        return self.run / "supervisord.pid"

    @property
    def credentials(self) -> Path:
        """The secrets of the stack; only its user can read them."""
        return self.state / "secrets.json"

    @property
    def passwords(self) -> Path:
        """The passwords of Airflow's simple auth manager."""
        return self.state / "passwords.json"

    @property
    def environment(self) -> Path:
        """The variables of the stack's programs, for `bakehouse airflow`; they hold its secrets."""
        return self.state / "environment.json"

    @property
    def record(self) -> Path:
        """The ports and the kind of machines of the stack."""
        return self.state / "stack.json"

    @property
    def lock(self) -> Path:
        """The lock file beside the state, held while the stack starts or stops."""
        return self.state.with_name(self.state.name + ".lock")

    def make(self) -> None:
        """Create the folders; only their user can read them."""
        self.state.mkdir(parents=True, exist_ok=True)
        self.state.chmod(0o700)
        for folder in (self.airflow_home, self.gce, self.logs, self.run):
            folder.mkdir(exist_ok=True)
