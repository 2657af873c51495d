"""What the stack needs on this computer."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from devstack import machines

if TYPE_CHECKING:
    from pathlib import Path

DISK_GB = 6  # the public image, its cache, a builder's disk and Airflow


@dataclass(frozen=True)
class Check:
    """One requirement; `detail` says what is there, or what to do."""

    name: str
    ok: bool
    detail: str
    output: str = ""  # of the program that was asked


def examine(folder: Path) -> list[Check]:
    """Disk and real machines; without the latter `MACHINES=instant` still works."""
    return [_disk(folder), _machines()]


def _disk(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free / 2**30
    ok = free >= DISK_GB
    remedy = "" if ok else f": free some space below {folder}"
    return Check("disk", ok, f"{free:.0f} GB free, {DISK_GB} are needed{remedy}")


def _machines() -> Check:
    able, output = machines.doctor()
    detail = "QEMU can run them" if able else machines.reason(output)
    return Check("real machines", able, detail, output)
