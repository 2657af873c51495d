"""Reads the header of a qcow2 file (QEMU's docs/interop/qcow2.txt), which needs no process."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from localgce.core.errors import MachineError

_MAGIC = b"QFI\xfb"


@dataclass(frozen=True)
class Header:
    """The virtual size in bytes, and the file it stands on as written in it."""

    size: int
    backing: str | None


def is_qcow2(path: Path) -> bool:
    """Whether the file is qcow2; anything else is taken as raw."""
    with path.open("rb") as file:
        return file.read(4) == _MAGIC


def read(path: Path) -> Header:
    """The header; a raw file has its length and stands on nothing."""
    with path.open("rb") as file:
        head = file.read(32)
        if head[:4] != _MAGIC:
            return Header(path.stat().st_size, None)
        if len(head) < 32:
            raise MachineError(f"{path} is a broken qcow2 file")
        offset, length, _bits, size = struct.unpack(">QIIQ", head[8:32])
        file.seek(offset)
        return Header(size, file.read(length).decode() if offset else None)
