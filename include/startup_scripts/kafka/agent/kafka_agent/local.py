"""This broker's process and disks, read without asking it."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import struct
from typing import TYPE_CHECKING

from kafka_agent.config import properties

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

CLEAN_MARK = ".kafka_cleanshutdown"
LOCK = ".lock"
PARTITION = re.compile(r".+-\d+")
METADATA = "__cluster_metadata-0"
# struct flock: type, whence, start, length, pid
FLOCK = "hhqqi"


def runs(log_dirs: Iterable[Path]) -> bool:
    """Whether a process holds the lock of one of these, as Kafka does from start to end."""
    return any(lock_is_held(one / LOCK) for one in log_dirs)


def lock_is_held(path: Path) -> bool:
    """Asks without taking it: whoever takes it for a moment may keep Kafka from its start."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        asked = struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind = struct.unpack(FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, asked))[0]
    except OSError as error:
        if error.errno in {errno.EINVAL, errno.ENOLCK}:  # a file system without locks
            return False
        raise
    finally:
        os.close(file)
    return bool(kind != fcntl.F_UNLCK)


def unclean(log_dirs: Iterable[Path]) -> tuple[str, ...]:
    """The log directories without a clean shutdown mark: the next start recovers their logs."""
    return tuple(str(one) for one in log_dirs if not (one / CLEAN_MARK).exists())


def partitions(log_dirs: Iterable[Path]) -> frozenset[str]:
    """The partitions with a folder there. What is being deleted or moved has another name."""
    found = set()
    for one in log_dirs:
        try:
            with os.scandir(one) as entries:
                found |= {each.name for each in entries if PARTITION.fullmatch(each.name)}
        except OSError:
            continue
    return frozenset(found - {METADATA})


def identity(metadata_dir: Path) -> tuple[str, str]:
    """The ids of the disk of the metadata log and of its cluster; empty where it has none yet."""
    try:
        content = properties((metadata_dir / "meta.properties").read_text("utf-8"))
    except (OSError, UnicodeError):
        return "", ""
    return content.get("directory.id", (0, ""))[1], content.get("cluster.id", (0, ""))[1]
