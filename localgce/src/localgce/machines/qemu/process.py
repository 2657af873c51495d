"""A QEMU process: found by its pidfile, identified by its command line, watched to its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path


class Process:
    """One running QEMU, which this or an earlier server has started.

    The handle (pidfd_open(2)) refers to this process also when its pid is used again.
    """

    def __init__(self, pid: int, handle: int) -> None:
        """Own the pidfd `handle`."""
        self.pid = pid
        self._handle = handle
        self._ended: asyncio.Future[None] | None = None

    def kill(self) -> None:
        """Send SIGKILL; does nothing when the process has ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    async def ended(self) -> None:
        """Wait until it has ended; may be awaited by several tasks."""
        loop = asyncio.get_running_loop()
        if self._ended is None:
            self._ended = loop.create_future()
            loop.add_reader(self._handle, self._end)
        await asyncio.shield(self._ended)

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._handle)
        if self._ended and not self._ended.done():
            self._ended.set_result(None)

    def __del__(self) -> None:
        """Close the pidfd."""
        os.close(self._handle)


def find(pidfile: Path) -> Process | None:
    """The running QEMU that was started with `-pidfile <pidfile>`."""
    try:
        pid = int(pidfile.read_text())
        handle = os.pidfd_open(pid)
    except (OSError, ValueError):
        return None
    process = Process(pid, handle)
    # read after the handle was opened: the command line belongs to the handle's process
    return process if _started_with(pid, pidfile) else None


def _started_with(pid: int, pidfile: Path) -> bool:
    """Whether the process was started with this pidfile; False for one that has ended."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return os.fsencode(pidfile) in words
