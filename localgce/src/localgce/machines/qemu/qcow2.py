"""Reads the header of a qcow2 file (QEMU's docs/interop/qcow2.txt), which needs no process."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localgce.core.errors import MachineError

if TYPE_CHECKING:
    from pathlib import Path

_MAGIC = b"QFI\xfb"
_DATA_FILE = 4  # of the incompatible features
_PACKED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"(\xb5/\xfd": "zstd",
    b"PK\x03\x04": "zip",
    b"KDMV": "VMDK",
    b"conectix": "VHD",
    b"vhdxfile": "VHDX",
}


@dataclass(frozen=True)
class Header:
    """The virtual size in bytes, and the backing file."""

    size: int
    backing: str | None


def check_importable(path: Path) -> Header:
    """The header of a qcow2 or raw disk that needs no other file.

    Raises MachineError, in one line that names the remedy, for anything else.
    """
    try:
        if not path.is_file():
            raise MachineError(f"{path} is not a file")
        with path.open("rb") as file:
            head = file.read(80)
        found = read(path)
    except OSError as error:
        raise MachineError(f"{path} cannot be read: {error.strerror}") from None
    if found.backing:
        text = f"{path} is only the changes to {found.backing}"
        raise MachineError(f"{text}: `qemu-img convert -O qcow2` makes a whole disk of it")
    if head[:4] == _MAGIC and head[79:80] and head[79] & _DATA_FILE:
        raise MachineError(f"{path} has its data in another file: `qemu-img convert` it first")
    packed = next((name for magic, name in _PACKED.items() if head.startswith(magic)), None)
    if packed or found.size == 0 or found.size % 512:
        what = f"a {packed} file" if packed else "neither a qcow2 nor a raw disk"
        raise MachineError(f"{path} is {what}: unpack or convert it to a qcow2 or raw disk first")
    return found


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
