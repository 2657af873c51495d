"""The builds of the public image in the cache: their users, and what killed builders have left.

Beside a build `NAME-ID.qcow2` the folder `NAME-ID.users` has a symbolic link to each state folder
that has used it. A build that is not the newest is deleted when none of them has its layer any
more. A build in progress lies in `building-*`, and its file `elsewhere` names the folder for
temporary files of mmdebstrap, which must lie where other users can enter.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from localgce.core.errors import MachineError
from localgce.core.subprocesses import run

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

ELSEWHERE = "elsewhere"
KILLED_WITHIN = 10.0  # seconds, for whoever a build has started


def note_user(layer: Path, state: Path) -> None:
    """Record that a state folder uses the build."""
    users = _users(layer)
    users.mkdir(exist_ok=True)
    state = state.resolve()
    link = users / hashlib.sha256(os.fsencode(state)).hexdigest()[:16]
    with contextlib.suppress(FileExistsError):
        link.symlink_to(state)


def prune(newest: Path) -> list[str]:
    """Delete the builds beside the newest that no state folder uses; returns their names."""
    gone = []
    for layer in sorted(newest.parent.glob("*.qcow2")):
        if layer == newest or not _users(layer).is_dir() or _is_used(layer):
            continue  # an early version of localgce has built it, and recorded no users
        for suffix in (".qcow2", ".vmlinuz", ".initrd"):
            layer.with_suffix(suffix).unlink(missing_ok=True)
        shutil.rmtree(_users(layer), ignore_errors=True)
        gone.append(layer.stem)
    return gone


def _users(layer: Path) -> Path:
    return layer.with_suffix(".users")


def _is_used(layer: Path) -> bool:
    number = layer.stem.rsplit("-", 1)[-1]
    links = [state / "disks/layers" / f"{number}.qcow2" for state in _users(layer).iterdir()]
    return any(link.is_symlink() for link in links)


def inside() -> list[str]:
    """The words before a program that reads or deletes what mmdebstrap has made.

    A normal user's build has files of users that only its user namespace knows.
    """
    return [] if os.geteuid() == 0 else ["mmdebstrap", "--unshare-helper"]


@contextlib.asynccontextmanager
async def temporary_folder(scratch: Path) -> AsyncGenerator[Path, None]:
    """A folder for mmdebstrap's files, recorded in `scratch` before it is created."""
    place = Path(tempfile.gettempdir()) / f"localgce-build-{os.urandom(6).hex()}"
    (scratch / ELSEWHERE).write_text(str(place))
    place.mkdir(mode=0o711)
    try:
        yield place
    finally:
        await clear(place)


async def sweep(folder: Path) -> None:
    """Kill and delete what killed builders have left, unless a builder is running."""
    if not _leftovers(folder):
        return
    with contextlib.suppress(BlockingIOError), build_lock(folder):
        await sweep_locked(folder)


async def sweep_locked(folder: Path) -> None:
    """Sweep while the caller holds the build lock."""
    for left in _leftovers(folder):
        place = _temporary_folder_of(left)
        if place is not None and not await clear(place):
            continue  # for a later sweep
        await asyncio.to_thread(shutil.rmtree, left, ignore_errors=True)


async def clear(place: Path) -> bool:
    """Kill who works in a build's temporary folder, and delete it; whether it is gone.

    A normal user cannot kill them: they end by themselves, when their files or their builder is
    gone. What is written until then is deleted again; after KILLED_WITHIN the folder is left.
    """
    until = time.monotonic() + KILLED_WITHIN
    await _kill_all(place)
    while (content := _content(place)) is not None:
        if time.monotonic() > until:
            return False
        # inside, the folder can be neither listed nor changed: emptied is what lies in it
        with contextlib.suppress(MachineError):
            await run(*inside(), "rm", "-rf", "--one-file-system", *content)
        shutil.rmtree(place, ignore_errors=True)
    return True


@contextlib.contextmanager
def build_lock(folder: Path) -> Generator[None]:
    """Hold the build lock; raises BlockingIOError when another builder holds it.

    The kernel releases the lock when its holder ends.
    """
    with (folder / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _leftovers(folder: Path) -> list[Path]:
    return list(folder.glob("building-*"))


def _temporary_folder_of(left: Path) -> Path | None:
    with contextlib.suppress(OSError):
        place = Path((left / ELSEWHERE).read_text())
        if place.name.startswith("localgce-build-") and place.is_dir():
            return place
    return None


def _content(place: Path) -> list[Path] | None:
    try:
        return list(place.iterdir())
    except FileNotFoundError:
        return None


async def _kill_all(place: Path) -> None:
    """Kill who works in the folder; the next look sees whom they have started meanwhile."""
    until = time.monotonic() + KILLED_WITHIN
    while (found := _working_in(place)) and time.monotonic() < until:
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.05)


def _working_in(place: Path) -> list[int]:
    """Processes whose TMPDIR is the folder."""
    wanted, found = b"TMPDIR=" + os.fsencode(place), []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found
