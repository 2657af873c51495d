"""`localgce up`, `down`, `status`, `image import`: one server for each state folder."""

from __future__ import annotations

import fcntl
import json
import os
import select
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

import psutil

from localgce.core.errors import MachineError
from localgce.core.server_file import FILE, LOG, START, ServerFile, running

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_READY_SECONDS = 120.0
_STOP_SECONDS = 60.0  # beyond the guests' own grace: disks are flushed, images are finished
_ANSWER_SECONDS = 10.0
_LOG_BYTES = 10_000_000  # a longer log is set aside at the next start
_LAST_WORDS = 2_000


def up(state: Path, project: str, machines: str, options: Sequence[str]) -> tuple[ServerFile, bool]:
    """Start a server in the background unless it runs; whether it was started by this call.

    Args:
        state: the state folder, which is created.
        project: the project's id.
        machines: `qemu` or `instant`.
        options: further options of `localgce serve`.

    Raises MachineError when it does not start, or runs with another project or other machines.
    """
    state.mkdir(parents=True, exist_ok=True)
    with _alone(state):
        if found := running(state):
            _check_same(found, project, machines, state)
            return found, False
        command = [sys.executable, "-m", "localgce", "serve", "--state", str(state)]
        command += ["--project", project, "--machines", machines, *options]
        return _start(command, state), True


def down(state: Path, *, grace: float, now: bool = False) -> bool:
    """Stop the server of a state folder, and wait for it; False when none runs.

    Its machines power off within `grace` seconds, or with `now` at once. Raises MachineError when
    the server has not ended in time.
    """
    if not state.is_dir():
        return False
    with _alone(state):
        found = running(state)
        process = found.process() if found else None
        if process is None:
            return False
        if not _ends(process, grace + _STOP_SECONDS, now=now):
            raise MachineError(f"the server has not ended, pid {process.pid}: see {state / LOG}")
        (state / FILE).unlink(missing_ok=True)
        return True


def status(state: Path) -> dict[str, object] | None:
    """What the server of a state folder says of itself; None when none runs.

    Raises MachineError when it runs and does not answer.
    """
    found = running(state)
    if found is None:
        return None
    try:
        health = _health(found.url)
    except (OSError, ValueError) as error:
        text = f"the server at {found.url}, pid {found.pid}, does not answer: {error}"
        raise MachineError(text) from None
    return {
        "url": found.url,
        "console": f"{found.url}/_localgce/console",
        "pid": found.pid,
        "project": found.project,
        "machines": found.machines,
        "instances": health.get("instances", {}),
        "state": str(state),
        "log": str(state / LOG),
    }


def import_image(state: Path, file: Path, family: str, project: str | None) -> str:
    """Make an image of a qcow2 or raw file on the server of a state folder; the image's path.

    `project` may also be one of the public ones, such as `ubuntu-os-cloud`; None is the server's
    own. Raises MachineError when no server runs, or it refuses the file.
    """
    found = running(state)
    if found is None:
        raise MachineError(f"no server runs on {state}: `localgce up` starts one")
    wanted = {"file": str(file.absolute()), "family": family, "project": project or found.project}
    request = urllib.request.Request(
        f"{found.url}/_localgce/images",
        json.dumps(wanted).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with _opener().open(request) as answer:
            return str(json.load(answer)["image"])
    except urllib.error.HTTPError as error:
        raise MachineError(json.load(error)["error"]["message"]) from None


def _check_same(found: ServerFile, project: str, machines: str, state: Path) -> None:
    if (found.project, found.machines) != (project, machines):
        raise MachineError(
            f"a server with {found.machines} machines and the project {found.project} runs on"
            f" {state} at {found.url}: stop it by `localgce down`, or name another --state"
        )


def _start(command: list[str], state: Path) -> ServerFile:
    log = state / LOG
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.rename(log.with_name(f"{LOG}.1"))
    with log.open("ab") as errors:
        begin = errors.tell()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,  # neither Ctrl-C nor the terminal's end reaches it
            cwd=state,
        )
    assert process.stdout is not None
    with process.stdout as lines:
        ready = _first_line(lines)
    found = running(state)
    if ready.startswith(b"ready ") and found is not None and found.pid == process.pid:
        return found
    process.kill()
    process.wait()
    with log.open("rb") as errors:
        errors.seek(begin)
        said = errors.read().decode(errors="replace")[-_LAST_WORDS:].strip()
    reason = said.removeprefix("localgce: ") or f"it has not answered in {_READY_SECONDS:.0f} s"
    raise MachineError(f"the server does not start: {reason}")


def _first_line(lines: IO[bytes]) -> bytes:
    """What a program prints first; empty when it ends, or prints nothing in time."""
    able, _, _ = select.select([lines], [], [], _READY_SECONDS)
    return lines.readline() if able else b""


def _ends(process: psutil.Process, seconds: float, *, now: bool) -> bool:
    """Send SIGTERM, with `now` more than once; whether the process ends in so many seconds."""
    end = time.monotonic() + seconds
    with suppress(psutil.NoSuchProcess):
        process.terminate()
        while (left := end - time.monotonic()) > 0:
            try:
                process.wait(min(left, 2) if now else left)
            except psutil.TimeoutExpired:
                if now:  # the server counts a further signal once it has begun to stop machines
                    process.terminate()
            else:
                return True
        return False
    return True


def _health(url: str) -> dict[str, object]:
    with _opener().open(f"{url}/_localgce/health", timeout=_ANSWER_SECONDS) as answer:
        return dict(json.load(answer))


def _opener() -> urllib.request.OpenerDirector:
    # not through a proxy of the environment: the server is on this machine
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
def _alone(state: Path) -> Iterator[None]:
    """One `up` or `down` of a state folder at a time; a dead one holds no lock."""
    handle = os.open(state / START, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
