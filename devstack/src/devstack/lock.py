"""The lock of a state folder: one process at a time starts or stops its stack."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

    from devstack.layout import Layout


class Busy(RuntimeError):
    """Another process starts, stops or owns the stack of this state folder."""


@contextmanager
def locked(layout: Layout) -> Generator[None]:
    """Hold the lock of the state folder; the kernel frees it when the process ends. Raises Busy."""
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
