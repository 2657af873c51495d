"""Makes a raw disk bootable: a GUID partition table and GRUB, without mounts or privileges.

Layout as on Google's own images: partition 1 is the root file system and ends the disk (so that it
can grow), partition 14 in front of it holds GRUB's core image.
Formats: UEFI 2.10 chapter 5 (GPT); GRUB 2.06 `include/grub/i386/pc/boot.h`,
`grub-core/boot/i386/pc/diskboot.S` (where the two images keep the sectors of the next stage).
"""

from __future__ import annotations

import struct
import uuid
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SECTOR = 512
CORE_START = 2048  # sectors
ROOT_START = 4096
_BIOS_BOOT = uuid.UUID("21686148-6449-6e6f-744e-656564454649")
_LINUX_ROOT = uuid.UUID("4f68bce3-e8cd-4db1-96e7-fbcaf984b709")
_ENTRIES = 128
_TABLE_SECTORS = 32


@dataclass(frozen=True)
class Partition:
    """One entry of the table, in sectors of 512 bytes; `last` is inclusive."""

    number: int
    kind: uuid.UUID
    identity: uuid.UUID
    first: int
    last: int
    name: str


def layout(disk_bytes: int, disk: uuid.UUID) -> list[Partition]:
    """The two partitions of a bootable disk."""
    last = disk_bytes // SECTOR - _TABLE_SECTORS - 2
    return [
        Partition(1, _LINUX_ROOT, uuid.uuid5(disk, "root"), ROOT_START, last, "root"),
        Partition(14, _BIOS_BOOT, uuid.uuid5(disk, "bios"), CORE_START, ROOT_START - 1, "bios"),
    ]


def root_blocks(disk_bytes: int) -> int:
    """Size of the root partition in blocks of 4 KiB."""
    return (disk_bytes // SECTOR - _TABLE_SECTORS - 1 - ROOT_START) // 8


def write_boot_loader(image: Path, boot: bytes, core: bytes, disk: uuid.UUID) -> None:
    """Write table and boot loader around the root file system in `image`."""
    size = image.stat().st_size
    if len(core) > (ROOT_START - CORE_START) * SECTOR:
        raise ValueError(f"GRUB's core image of {len(core)} bytes does not fit before the root")
    table = _table(layout(size, disk))
    end = size // SECTOR - 1
    with image.open("r+b") as file:
        file.write(_boot_sector(boot, end))
        file.write(_header(table, disk, here=1, other=end, entries=2, disk_end=end))
        file.write(table)
        file.seek(CORE_START * SECTOR)
        file.write(_core(core))
        file.seek((end - _TABLE_SECTORS) * SECTOR)
        file.write(table)
        file.write(
            _header(table, disk, here=end, other=1, entries=end - _TABLE_SECTORS, disk_end=end)
        )


def _boot_sector(boot: bytes, end: int) -> bytes:
    """GRUB's boot.img with the location of core.img, and the protective MBR entry."""
    sector = bytearray(boot[:SECTOR])
    sector[0x5C:0x64] = struct.pack("<Q", CORE_START)
    # as grub-bios-setup does for a hard disk: never doubt the drive number that the BIOS gave
    sector[0x66:0x68] = b"\x90\x90"
    sector[446:510] = bytes(64)
    sector[446:462] = struct.pack(
        "<B3sB3sII", 0, b"\x00\x02\x00", 0xEE, b"\xff\xff\xff", 1, min(end, 0xFFFFFFFF)
    )
    sector[510:512] = b"\x55\xaa"
    return bytes(sector)


def _core(core: bytes) -> bytes:
    """core.img whose first sector loads the sectors behind it."""
    image = bytearray(core)
    image[0x1F4:0x1FC] = struct.pack("<Q", CORE_START + 1)
    return bytes(image)


def _table(partitions: list[Partition]) -> bytes:
    table = bytearray(_ENTRIES * 128)
    for part in partitions:
        struct.pack_into(
            "<16s16sQQQ72s",
            table,
            (part.number - 1) * 128,
            part.kind.bytes_le,
            part.identity.bytes_le,
            part.first,
            part.last,
            0,
            part.name.encode("utf-16-le"),
        )
    return bytes(table)


def _header(
    table: bytes, disk: uuid.UUID, *, here: int, other: int, entries: int, disk_end: int
) -> bytes:
    def packed(crc: int) -> bytes:
        return struct.pack(
            "<8sIIIIQQQQ16sQIII",
            b"EFI PART",
            0x10000,
            92,
            crc,
            0,
            here,
            other,
            _TABLE_SECTORS + 2,
            disk_end - _TABLE_SECTORS - 1,
            disk.bytes_le,
            entries,
            _ENTRIES,
            128,
            zlib.crc32(table),
        )

    return packed(zlib.crc32(packed(0))).ljust(SECTOR, b"\0")
