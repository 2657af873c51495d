"""All records, in SQLite and in memory.

Reads never touch the disk. Each change is committed before its request is answered, so that a
kill -9 at any moment loses nothing that was acknowledged.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import sqlite3
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING

from localgce.core.errors import ApiError, Json

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from localgce.core.links import Link

log = logging.getLogger("localgce")
_TABLES = """
CREATE TABLE IF NOT EXISTS records (
    kind TEXT NOT NULL, project TEXT NOT NULL, scope TEXT NOT NULL, name TEXT NOT NULL,
    body TEXT NOT NULL, private TEXT NOT NULL,
    PRIMARY KEY (kind, project, scope, name)
) WITHOUT ROWID;
"""


class StateInUse(Exception):
    """Another server uses the state folder; the message is one line."""


@dataclass(frozen=True)
class Record:
    """One resource: `body` as the API shows it, `private` what only the server needs.

    Records and their dictionaries are never changed in place: `Store.put` a new one.
    """

    kind: str  # the API's collection: instances, disks, zoneOperations, ...
    project: str
    scope: str  # zones/Z, regions/R or global
    name: str
    body: Json
    private: Json = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The numeric id, as a decimal string."""
        return str(self.body["id"])

    @property
    def path(self) -> str:
        """`projects/p/zones/z/instances/i`."""
        return f"projects/{self.project}/{self.scope}/{self.collection}/{self.name}"

    @property
    def collection(self) -> str:
        """As links write it: all operations are `operations` there."""
        return "operations" if self.kind.endswith("Operations") else self.kind

    @property
    def link(self) -> str:
        """The selfLink."""
        return str(self.body["selfLink"])

    def changed(self, **fields: object) -> Record:
        """The record with these fields of the body replaced; None removes one."""
        body = {k: v for k, v in {**self.body, **fields}.items() if v is not None}
        return replace(self, body=body)

    def kept(self, **fields: object) -> Record:
        """The record with these private fields replaced."""
        return replace(self, private={**self.private, **fields})


_Key = tuple[str, str, str]


class Store:
    """All records; only the server's event loop writes."""

    def __init__(self, folder: Path) -> None:
        """Open the folder; raises StateInUse when another server has it."""
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(folder)
        self._db = sqlite3.connect(folder / "state.sqlite", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_TABLES)
        self._records: dict[_Key, dict[str, Record]] = {}
        self._anywhere: dict[tuple[str, str], tuple[_Key, str]] = {}
        self._undo: list[tuple[_Key, str, Record | None]] | None = None
        for row in self._db.execute(
            "SELECT kind, project, scope, name, body, private FROM records"
        ):
            kind, project, scope, name, body, private = row
            fields = json.loads(body), json.loads(private)
            self._remember(Record(kind, project, scope, name, *fields))

    def close(self) -> None:
        """Close the file and release the folder."""
        self._db.close()
        self._lock.close()

    @contextlib.contextmanager
    def transaction(self) -> Generator[None]:
        """Commit all changes of the block, or none; a nested transaction joins the outer one."""
        if self._undo is not None:
            yield
            return
        self._undo = []
        try:
            self._execute("BEGIN")
            yield
            self._execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        finally:
            self._undo = None

    def put(self, record: Record) -> Record:
        """Insert or replace."""
        with self.transaction():
            self._execute(
                "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?)",
                record.kind,
                record.project,
                record.scope,
                record.name,
                json.dumps(record.body),
                json.dumps(record.private),
            )
            self._note(record.kind, record.project, record.scope, record.name)
            self._remember(record)
        return record

    def put_best_effort(self, record: Record) -> None:
        """Put what has happened already: when the disk is full, it is kept in memory only."""
        try:
            self.put(record)
        except ApiError as error:
            log.error("%s: %s is kept in memory only", error, record.path)
            self._remember(record)

    def delete(self, record: Record) -> None:
        """Delete; does nothing when the record does not exist."""
        with self.transaction():
            self._execute(
                "DELETE FROM records WHERE kind=? AND project=? AND scope=? AND name=?",
                record.kind,
                record.project,
                record.scope,
                record.name,
            )
            self._note(record.kind, record.project, record.scope, record.name)
            self._forget((record.kind, record.project, record.scope), record.name)

    def get(self, kind: str, project: str, scope: str, name: str) -> Record | None:
        """By name, or by numeric id as Compute Engine also allows."""
        key = (kind, project, scope)
        found = self._records.get(key, {}).get(name)
        if found is None and name[:1].isdigit():
            found = self.by_id(kind, name)
            if found and (found.project, found.scope) != (project, scope):
                return None
        return found

    def by_id(self, kind: str, number: str) -> Record | None:
        """By the numeric id, in any project and scope."""
        found = self._anywhere.get((kind, number))
        return self._records[found[0]].get(found[1]) if found else None

    def at(self, link: Link) -> Record | None:
        """The record at a link."""
        return self.get(link.collection, link.project, link.scope, link.name)

    def again(self, record: Record) -> Record | None:
        """The current record of the same resource; None when only the name is the same."""
        found = self._records.get((record.kind, record.project, record.scope), {}).get(record.name)
        return found if found is not None and found.body["id"] == record.body["id"] else None

    def all(self, kind: str, project: str | None = None, scope: str | None = None) -> list[Record]:
        """Every record of a kind, or those of a project or a scope; unordered."""
        if project is not None and scope is not None:
            return list(self._records.get((kind, project, scope), {}).values())
        return [
            record
            for key, records in self._records.items()
            if key[0] == kind
            and (project is None or key[1] == project)
            and (scope is None or key[2] == scope)
            for record in records.values()
        ]

    def _execute(self, sql: str, *values: str) -> None:
        try:
            self._db.execute(sql, values)
        except sqlite3.OperationalError as error:  # a full disk must not end the server
            text = f"localgce cannot write its state: {error}"
            raise ApiError(503, "backendError", text) from error

    def _note(self, kind: str, project: str, scope: str, name: str) -> None:
        if self._undo is not None:
            key = (kind, project, scope)
            self._undo.append((key, name, self._records.get(key, {}).get(name)))

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.OperationalError):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        for key, name, before in reversed(self._undo or []):
            self._forget(key, name)
            if before is not None:
                self._remember(before)

    def _remember(self, record: Record) -> None:
        key = (record.kind, record.project, record.scope)
        self._forget(key, record.name)
        self._records.setdefault(key, {})[record.name] = record
        self._anywhere[record.kind, record.id] = (key, record.name)

    def _forget(self, key: _Key, name: str) -> None:
        before = self._records.get(key, {}).pop(name, None)
        if before is not None:
            self._anywhere.pop((key[0], before.id), None)


def _lock(folder: Path) -> IO[str]:
    """Take an advisory lock, which the kernel releases when the process ends."""
    handle = (folder / "lock").open("a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.seek(0)
        pid = handle.read().strip() or "unknown"
        handle.close()
        raise StateInUse(f"the state folder {folder} is in use by localgce, pid {pid}") from None
    handle.seek(0)
    handle.truncate()
    handle.write(str(os.getpid()))
    handle.flush()
    return handle
