"""What a running server tells other programs of this machine: `server.json` in its state folder."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

FILE = "server.json"
LOG = "server.log"
"""Of a server in the background."""
START = "start.lock"
"""Held while a server is started in the background, or stopped."""
_SAME_START = 60.0  # seconds; the wall clock may be set while a server runs


@dataclass(frozen=True)
class ServerFile:
    """A server that answers, or one that stops."""

    pid: int
    started: float  # of its process, seconds since 1970: another process may get its id later
    url: str  # http://127.0.0.1:PORT
    project: str
    machines: str  # qemu or instant

    @classmethod
    def of_this_process(cls, url: str, project: str, machines: str) -> ServerFile:
        """What this process writes when it answers."""
        return cls(os.getpid(), psutil.Process().create_time(), url, project, machines)

    def write(self, state: Path) -> None:
        """Replace the file in one step: a reader sees a whole one."""
        new = state / f"{FILE}.new"
        new.write_text(json.dumps(asdict(self), indent=1) + "\n")
        new.rename(state / FILE)

    def process(self) -> psutil.Process | None:
        """The process; None when it has ended."""
        try:
            found = psutil.Process(self.pid)
            ended = found.status() == psutil.STATUS_ZOMBIE
            same = abs(found.create_time() - self.started) < _SAME_START
        except psutil.NoSuchProcess:
            return None
        return found if same and not ended else None


def running(state: Path) -> ServerFile | None:
    """The server of a state folder; None when there is none, or it does not answer yet."""
    try:
        found = ServerFile(**json.loads((state / FILE).read_text()))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found if found.process() else None


def default_state() -> Path:
    """`${XDG_STATE_HOME:-~/.local/state}/localgce`."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "localgce"
