"""A lease with one owner at a time, by compare-and-swap in the ledger's object store.

A lease is a log, `<base>/leases/<name>/<generation>.json`, of which the newest record is valid.
Records are created, never changed, and creation is exclusive: of two writers that saw the same
newest generation one creates the next, the other gets an error. That is `os.link` on a file system
and `ifGenerationMatch=0` on Cloud Storage; a store without such an operation is refused. See
docs/decisions/0020-fleet-lease.md.
"""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict, ValidationError

from bakehouse.core.problems import problems_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from fsspec import AbstractFileSystem  # type: ignore[import-untyped]

EXCLUSIVE_STORES = frozenset({"gs", "gcs"})  # `pipe_file(mode="create")` is atomic there
KEPT = 8  # newest generations; older ones are deleted


class Owner(BaseModel):
    """The run that owns a lease."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dag_id: str
    run_id: str

    def __str__(self) -> str:
        """The text for messages."""
        return f"{self.dag_id} {self.run_id}"


class Record(BaseModel):
    """One generation of a lease."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = 1
    generation: int
    owner: Owner
    since: datetime
    expires: datetime
    released: bool = False
    token: str  # lets the writer recognise its record if the answer was lost


class Claim(StrEnum):
    """What a run that wants the lease may do."""

    TAKE = "take"
    RENEW = "renew"  # the run owns it already
    WAIT = "wait"


@dataclass(frozen=True)
class Decision:
    """What to do, with the reason in one line."""

    claim: Claim
    why: str


def decide(newest: Record | None, owner: Owner, run_state: str | None, now: datetime) -> Decision:
    """Decide whether `owner` may take the lease.

    Args:
        newest: The newest record of the lease.
        owner: The run that wants it.
        run_state: The state of the run that holds the lease; None if Airflow does not know the run
            (it was deleted, or belongs to another Airflow with the same ledger).
        now: The current time.
    """
    if newest is None or newest.released:
        return Decision(Claim.TAKE, "it was free")
    if newest.owner == owner:
        return Decision(Claim.RENEW, "this run has it already")
    if run_state in {"success", "failed"}:
        return Decision(Claim.TAKE, f"its owner ({newest.owner}) has ended: {run_state}")
    if run_state is None and newest.expires <= now:
        return Decision(
            Claim.TAKE,
            f"its owner ({newest.owner}) is unknown to Airflow and the lease has expired",
        )
    state = run_state or "unknown to this Airflow"
    return Decision(Claim.WAIT, f"{newest.owner} ({state}) holds it since {newest.since:%F %T}")


class UnsafeStore(ValueError):
    """The store of the ledger cannot create an object exclusively."""


class Lease:
    """A lease. Every call reads the store."""

    def __init__(self, fs: AbstractFileSystem, folder: str) -> None:
        """Use the generations in `folder`. Raises UnsafeStore."""
        protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
        if not isinstance(fs, LocalFileSystem) and not protocols & EXCLUSIVE_STORES:
            raise UnsafeStore(
                f"{folder}: leases need a store that creates an object only if it is absent; "
                "file:// and gs:// do. Set the Variable bakehouse_ledger to one of these"
            )
        self._fs, self._folder = fs, folder.rstrip("/")

    def newest(self) -> Record | None:
        """Return the valid record; None if there never was one."""
        while generations := self._generations():
            record = self._read(generations[-1])
            if record is not None:
                return record
        return None

    def take(self, owner: Owner, after: Record | None, now: datetime, time: timedelta) -> bool:
        """Become the owner if `after` is still the newest record; return whether it was."""
        return self._append(owner, after, now, now + time, released=False)

    def release(self, owner: Owner, now: datetime) -> bool:
        """Release the lease if `owner` holds it; return whether it did. Idempotent."""
        while (newest := self.newest()) is not None:
            if newest.owner != owner or newest.released:
                return False
            if self._append(owner, newest, now, now, released=True):
                return True
        return False

    def discard(self) -> None:
        """Delete all records of a lease that nobody will want again."""
        self._remove(self._generations())
        if isinstance(self._fs, LocalFileSystem):
            Path(self._folder).rmdir()

    def held_by(self, owner: Owner) -> bool:
        """Whether `owner` holds the lease now."""
        newest = self.newest()
        return newest is not None and newest.owner == owner and not newest.released

    def _append(
        self,
        owner: Owner,
        after: Record | None,
        now: datetime,
        expires: datetime,
        *,
        released: bool,
    ) -> bool:
        record = Record(
            generation=after.generation + 1 if after else 1,
            owner=owner,
            since=after.since if after and after.owner == owner else now,
            expires=expires,
            released=released,
            token=uuid.uuid4().hex,
        )
        if not self._create(record):
            return False
        # A slow writer may have created a generation again that was deleted in the meantime. The
        # newest one is never deleted, so a newer one is seen here.
        generations = self._generations()
        if generations[-1] != record.generation:
            self._remove([record.generation])
            return False
        self._remove(generations[:-KEPT])
        return True

    def _create(self, record: Record) -> bool:
        path = self._path(record.generation)
        try:
            _create_exclusively(self._fs, path, record.model_dump_json().encode())
        except FileExistsError:
            mine = self._read(record.generation)
            return mine is not None and mine.token == record.token
        return True

    def _generations(self) -> list[int]:
        self._fs.invalidate_cache()
        try:
            names = self._fs.ls(self._folder, detail=False)
        except FileNotFoundError:
            return []
        stems = (Path(name).name.removesuffix(".json") for name in names)
        return sorted(int(stem) for stem in stems if stem.isdigit())

    def _read(self, generation: int) -> Record | None:
        """Return the record; None if it was deleted since it was listed."""
        try:
            return Record.model_validate_json(self._fs.cat_file(self._path(generation)))
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise ValueError(
                f"{self._path(generation)} is not a lease's record: {problems_of(error)}"
            ) from error

    def _remove(self, generations: list[int]) -> None:
        for generation in generations:
            try:
                self._fs.rm_file(self._path(generation))
            except FileNotFoundError:
                continue

    def _path(self, generation: int) -> str:
        return f"{self._folder}/{generation:08d}.json"


def acquire(
    lease: Lease,
    owner: Owner,
    now: datetime,
    time: timedelta,
    run_state: Callable[[Owner], str | None],
) -> Decision:
    """Take or renew the lease, or return who holds it (WAIT). Idempotent."""
    while True:
        newest = lease.newest()
        holder = newest.owner if newest and not newest.released else None
        state = run_state(holder) if holder and holder != owner else None
        decision = decide(newest, owner, state, now)
        if decision.claim is Claim.WAIT or lease.take(owner, newest, now, time):
            return decision


def _create_exclusively(fs: AbstractFileSystem, path: str, content: bytes) -> None:
    """Create the object with all of its content, or raise FileExistsError."""
    if not isinstance(fs, LocalFileSystem):
        fs.pipe_file(path, content, mode="create")
        return
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.stem}-{uuid.uuid4().hex}")
    try:
        with draft.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, target)  # fsspec's "create" checks, then writes: not exclusive
    finally:
        draft.unlink(missing_ok=True)
