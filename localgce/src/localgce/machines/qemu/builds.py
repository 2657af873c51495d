"""The cache's builds of the public image: who stands on them, and what killed builders left.

Beside a build `NAME-ID.qcow2` the folder `NAME-ID.users` holds a symbolic link to each state
folder that has used it. A build that is not the newest goes when none of them has its layer any
more. While a build is made, `building-*` holds it, and its file `elsewhere` names the folder for
temporary files of mmdebstrap, which must lie where other users may look in.
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
from collections.abc import Generator
from pathlib import Path

from localgce.core.errors import MachineError
from localgce.core.subprocesses import run

ELSEWHERE = "elsewhere"


def note_user(layer: Path, state: Path) -> None:
    """The state folder is about to stand on the build."""
    users = _users(layer)
    users.mkdir(exist_ok=True)
    state = state.resolve()
    link = users / hashlib.sha256(os.fsencode(state)).hexdigest()[:16]
    with contextlib.suppress(FileExistsError):
        link.symlink_to(state)


def prune(newest: Path) -> list[str]:
    """Remove the builds beside the newest that no state folder stands on; their names."""
    gone = []
    for layer in sorted(newest.parent.glob("*.qcow2")):
        if layer == newest or not _users(layer).is_dir() or _is_used(layer):
            continue  # without the folder of users it is of a localgce that kept no account
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


@contextlib.contextmanager
def temporary_folder(scratch: Path) -> Generator[Path]:
    """A folder for mmdebstrap's temporary files, noted in `scratch` before it is there."""
    place = Path(tempfile.gettempdir()) / f"localgce-build-{os.urandom(6).hex()}"
    (scratch / ELSEWHERE).write_text(str(place))
    place.mkdir(mode=0o711)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


async def sweep(folder: Path) -> None:
    """End and remove what builders that were killed have left, unless one is at work."""
    if not any(folder.glob("building-*")):
        return
    with (folder / "build.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        await sweep_locked(folder)


async def sweep_locked(folder: Path) -> None:
    """The same, for who holds the build lock."""
    for left in folder.glob("building-*"):
        with contextlib.suppress(OSError):
            await _clear(Path((left / ELSEWHERE).read_text()))
        await asyncio.to_thread(shutil.rmtree, left, ignore_errors=True)


async def _clear(place: Path) -> None:
    if not place.name.startswith("localgce-build-") or not place.is_dir():
        return
    for pid in _working_in(place):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    # a normal user's build has files of users that only its user namespace knows
    inside = [] if os.geteuid() == 0 else ["mmdebstrap", "--unshare-helper"]
    with contextlib.suppress(MachineError):
        await run(*inside, "sh", "-c", 'rm -rf --one-file-system "$1"/*', "clear", place)
    shutil.rmtree(place, ignore_errors=True)


def _working_in(place: Path) -> list[int]:
    """Processes that were told to use the folder for their temporary files."""
    wanted, found = b"TMPDIR=" + os.fsencode(place), []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found
