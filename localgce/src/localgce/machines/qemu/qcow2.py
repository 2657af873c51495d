"""Reads the header of a qcow2 file (QEMU's docs/interop/qcow2.txt), which needs no process."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localgce.core.errors import MachineError

if TYPE_CHECKING:
    from pathlib import Path

_MAGIC = b"QFI\xfb"


@dataclass(frozen=True)
class Header:
    """The virtual size in bytes, and the backing file."""

    size: int
    backing: str | None


def is_qcow2(path: Path) -> bool:
    """Whether the file is qcow2; any other is raw."""
    with path.open("rb") as file:
        return file.read(4) == _MAGIC


def read(path: Path) -> Header:
    """The header; of a raw file the length, without a backing file."""
    with path.open("rb") as file:
        head = file.read(32)
        if head[:4] != _MAGIC:
            return Header(path.stat().st_size, None)
        if len(head) < 32:
            raise MachineError(f"{path} is a broken qcow2 file")
        offset, length, _bits, size = struct.unpack(">QIIQ", head[8:32])
        file.seek(offset)
        return Header(size, file.read(length).decode() if offset else None)
