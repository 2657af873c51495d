"""The localgce of local builds: started when it is needed, and kept running between commands.

It listens on the loopback only. A file names its process and address; whoever finds the process
gone, or another one in its place, starts it again. Its machines outlive a killed server, and the
next one takes them over.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from pydantic import ValidationError

from bakehouse.core.models import Frozen
from bakehouse.local.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from bakehouse.local.places import Places

GCE_PROJECT = "bakehouse-local"
QEMU, INSTANT = "qemu", "instant"
KINDS = (QEMU, INSTANT)
STOP_SECONDS = 100.0  # machines are given 90 to power off
_ANSWERS_WITHIN = 5.0


class Server(Frozen):
    """A running localgce."""

    pid: int
    url: str

    @property
    def api(self) -> str:
        """The address of the project's resources."""
        return f"{self.url}/compute/v1/projects/{GCE_PROJECT}"


def running(places: Places) -> Server | None:
    """Return the server, if it runs and answers."""
    try:
        server = Server.model_validate_json(places.server.read_text())
    except (FileNotFoundError, ValidationError):
        return None
    if not _is_ours(server.pid, places):
        return None
    try:
        httpx.get(server.api, timeout=_ANSWERS_WITHIN).raise_for_status()
    except httpx.HTTPError:
        return None
    return server


def ensure(places: Places, say: Callable[[str], None]) -> Server:
    """Return the running server; start it if there is none. Raises LocalError."""
    if (server := running(places)) is not None:
        return server
    places.make()
    with _alone(places):
        if (server := running(places)) is not None:
            return server
        _kill_leftover(places)
        return _start(places, say)


def stop(places: Places) -> bool:
    """Stop the server, if one runs; its machines power off, and everything else is kept."""
    if not places.lock.exists():
        return False
    with _alone(places):
        try:
            server = Server.model_validate_json(places.server.read_text())
        except (FileNotFoundError, ValidationError):
            return False
        was = _is_ours(server.pid, places)
        if was:
            os.kill(server.pid, signal.SIGTERM)
            _wait_for_end(server.pid, places)
        places.server.unlink(missing_ok=True)
        return was


def _start(places: Places, say: Callable[[str], None]) -> Server:
    if importlib.util.find_spec("localgce") is None:
        raise LocalError(
            "localgce is not installed: pip install 'bakehouse[local]', or build in a project of"
            " Google's with --on CONNECTION"
        )
    command = [sys.executable, "-m", "localgce", "serve", "--port", "0", "--project", GCE_PROJECT]
    command += ["--state", str(places.state), "--machines", places.kind]
    if places.kind == INSTANT:
        command += ["--guest", str(_instant_guest())]
    else:
        _make_public_image(say)
    say(f"starting localgce ({places.kind} machines)")
    with places.server_log.open("w") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=places.folder,
            start_new_session=True,  # it outlives this command, and Ctrl-C is not its end
        )
    if process.stdout is None:
        raise LocalError("localgce has no output")
    first = process.stdout.readline().decode()
    if not first.startswith("ready "):
        process.wait()
        raise LocalError(f"localgce does not start: {_last_line(places.server_log)}")
    server = Server(pid=process.pid, url=first.split()[1])
    aside = places.server.with_suffix(".new")
    aside.write_text(server.model_dump_json())
    aside.replace(places.server)
    return server


def _make_public_image(say: Callable[[str], None]) -> None:
    """Build localgce's Debian image once; minutes."""
    command = [sys.executable, "-m", "localgce", "image"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        last = ""
        for line in process.stdout or ():
            if line.strip():
                last = line.strip()
                say(last)
    if process.returncode != 0:
        raise LocalError(f"localgce cannot build its Debian image: {last}")


def _instant_guest() -> Path:
    """The guest program of the development stack; it is not imported."""
    found = importlib.util.find_spec("devstack")
    for folder in (found.submodule_search_locations or ()) if found else ():
        if (guest := Path(folder) / "instant_guest.py").is_file():
            return guest
    raise LocalError("instant machines need the development stack: use --machines qemu")


def _is_ours(pid: int, places: Places) -> bool:
    """Whether the process is the server of this folder, and not one that got its number since."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"localgce" in words and os.fsencode(places.state) in words


def _kill_leftover(places: Places) -> None:
    """End a server that does not answer; a second one on the same state would be refused."""
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        if pid != os.getpid() and _is_ours(pid, places):
            os.kill(pid, signal.SIGKILL)
            _wait_for_end(pid, places)
    places.server.unlink(missing_ok=True)


def _wait_for_end(pid: int, places: Places) -> None:
    until = time.monotonic() + STOP_SECONDS
    while _is_ours(pid, places):
        if time.monotonic() > until:
            raise LocalError(f"localgce (process {pid}) does not end: kill it")
        time.sleep(0.05)


@contextmanager
def _alone(places: Places) -> Generator[None]:
    with places.lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip().removeprefix("localgce: ") if lines else "it says nothing"
