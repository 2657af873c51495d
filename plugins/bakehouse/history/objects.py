"""Objects in the store that holds the ledger: most are written once and never changed."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath


def create(target: ObjectStoragePath, data: bytes) -> None:
    """Write the object whole or not at all, and never over another. Raises FileExistsError."""
    if target.protocol in {"", "file"}:
        _create_file(Path(target.path), data)
    else:
        target.fs.pipe_file(target.path, data, mode="create")


def write(target: ObjectStoragePath, data: bytes) -> None:
    """Write the object, over an older one.

    A file system needs the folder first. In an object store that would be a question about the
    bucket, for which who writes objects needs no permission otherwise.
    """
    if target.protocol in {"", "file"}:
        target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)


def remove(target: ObjectStoragePath) -> None:
    """Remove the object, if it is there."""
    with suppress(FileNotFoundError):
        target.fs.rm_file(target.path)


def _create_file(target: Path, data: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=target.parent, prefix=".") as half:
        half.write(data)
        half.flush()
        os.fsync(half.fileno())
        Path(half.name).chmod(0o644)
        os.link(half.name, target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the name, too, outlasts a power failure
    finally:
        os.close(folder)
