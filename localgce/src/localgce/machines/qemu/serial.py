"""Serial output in files whose beginning is discarded.

QEMU appends to the file, also while no server runs. The space of old output is released by punching
a hole (fallocate(2)), so that the file's length stays the number of bytes ever written and offsets
into the output stay valid.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

RING = 1 << 20
_PUNCH_HOLE_KEEP_SIZE = 0x02 | 0x01
_libc = ctypes.CDLL(None, use_errno=True)


def read(path: Path, start: int) -> tuple[bytes, int, int]:
    """(contents, start of these contents, next start): the contract of `Machine.serial`."""
    try:
        with path.open("rb") as file:
            length = file.seek(0, os.SEEK_END)
            wanted = length + start if start < 0 else start
            first = min(max(wanted, length - RING, 0), length)
            file.seek(first)
            contents = file.read(length - first)
    except FileNotFoundError:
        return b"", 0, 0
    return contents, first, first + len(contents)


def trim(path: Path) -> None:
    """Release the space of old output, where the file system supports it."""
    with contextlib.suppress(FileNotFoundError), path.open("r+b") as file:
        status = os.fstat(file.fileno())
        if status.st_blocks * 512 > 2 * RING:
            _libc.fallocate(
                file.fileno(),
                _PUNCH_HOLE_KEEP_SIZE,
                ctypes.c_int64(0),
                ctypes.c_int64(status.st_size - RING),
            )
