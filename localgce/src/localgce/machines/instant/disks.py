"""Disks of instant machines: small trees of text files in one SQLite database."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, MutableMapping
from typing import TYPE_CHECKING

from localgce.core.errors import MachineError

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

TABLES = """
CREATE TABLE IF NOT EXISTS contents (id TEXT PRIMARY KEY, size_gb INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS files (
    id TEXT NOT NULL, path TEXT NOT NULL, text TEXT NOT NULL, PRIMARY KEY (id, path)
) WITHOUT ROWID;
"""


class Content(MutableMapping[str, str]):
    """The files of one disk; each change is written at once."""

    def __init__(self, db: sqlite3.Connection, content_id: str) -> None:
        """Open the disk or layer of that id."""
        self._db = db
        self._id = content_id

    def __getitem__(self, path: str) -> str:
        """The text of a file."""
        row = self._db.execute(
            "SELECT text FROM files WHERE id=? AND path=?", (self._id, path)
        ).fetchone()
        if row is None:
            raise KeyError(path)
        return str(row[0])

    def __setitem__(self, path: str, text: str) -> None:
        """Write a file."""
        self._db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", (self._id, path, text))

    def __delitem__(self, path: str) -> None:
        """Delete a file."""
        gone = self._db.execute("DELETE FROM files WHERE id=? AND path=?", (self._id, path))
        if gone.rowcount == 0:
            raise KeyError(path)

    def __iter__(self) -> Iterator[str]:
        """The paths, sorted."""
        rows = self._db.execute("SELECT path FROM files WHERE id=? ORDER BY path", (self._id,))
        return iter([str(row[0]) for row in rows])

    def __len__(self) -> int:
        """The number of files."""
        row = self._db.execute("SELECT count(*) FROM files WHERE id=?", (self._id,)).fetchone()
        return int(row[0])


class InstantDisks:
    """Contents of disks and layers by id; a layer is a content that is never written."""

    def __init__(self, db: sqlite3.Connection) -> None:
        """Use the database of the host."""
        self._db = db

    async def create_blank(self, disk_id: str, size_gb: int) -> None:
        """An empty disk."""
        self._make(disk_id, size_gb)

    async def create_from_layer(self, disk_id: str, layer_id: str, size_gb: int) -> None:
        """A disk with the layer's files."""
        if self._size(layer_id) is None:
            raise MachineError(f"there is no layer {layer_id}")
        if self._size(disk_id) is None:
            self._copy(layer_id, disk_id, size_gb)

    async def freeze(self, disk_id: str, layer_id: str) -> int:
        """Copy the disk's current files to a layer; returns its size in bytes."""
        size = self._size(disk_id)
        if size is None:
            raise MachineError(f"there is no disk {disk_id}")
        if self._size(layer_id) is None:
            self._copy(disk_id, layer_id, size)
        row = self._db.execute(
            "SELECT coalesce(sum(length(text)), 0) FROM files WHERE id=?", (layer_id,)
        ).fetchone()
        return int(row[0])

    async def copy(self, disk_id: str, layer_id: str) -> int:
        """Copy as `freeze` does."""
        return await self.freeze(disk_id, layer_id)

    async def import_layer(self, layer_id: str, path: Path) -> None:  # noqa: ARG002 - the contract
        """Create an empty layer: instant machines do not read image files."""
        self._make(layer_id, 0)

    async def import_copy(self, layer_id: str, path: Path) -> int:  # noqa: ARG002 - the contract
        """Create an empty layer: instant machines do not read image files."""
        self._make(layer_id, 0)
        return 0

    async def resize(self, disk_id: str, size_gb: int) -> None:
        """Record the new size."""
        self._db.execute("UPDATE contents SET size_gb=? WHERE id=?", (size_gb, disk_id))

    async def delete_disk(self, disk_id: str) -> None:
        """Delete the disk."""
        self._db.execute("DELETE FROM files WHERE id=?", (disk_id,))
        self._db.execute("DELETE FROM contents WHERE id=?", (disk_id,))

    async def delete_layer(self, layer_id: str) -> None:
        """Delete the layer."""
        await self.delete_disk(layer_id)

    def _make(self, content_id: str, size_gb: int) -> None:
        self._db.execute("INSERT OR IGNORE INTO contents VALUES (?, ?)", (content_id, size_gb))

    def _size(self, content_id: str) -> int | None:
        row = self._db.execute("SELECT size_gb FROM contents WHERE id=?", (content_id,)).fetchone()
        return int(row[0]) if row else None

    def _copy(self, source: str, target: str, size_gb: int) -> None:
        with _transaction(self._db):
            self._make(target, size_gb)
            self._db.execute(
                "INSERT OR REPLACE INTO files SELECT ?, path, text FROM files WHERE id=?",
                (target, source),
            )


@contextlib.contextmanager
def _transaction(db: sqlite3.Connection) -> Generator[None]:
    db.execute("BEGIN")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
