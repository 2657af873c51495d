"""The interface of a repository, local or remote.

`resolve` returns the newest commit of the ref's first-parent history that is not later than a given
time (by committer time); a tag or hash is returned as it is.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

from bakehouse.recipe.git.errors import UnknownRef, not_in
from bakehouse.recipe.lfs import LargeFileMissing, pointer_in
from bakehouse.recipe.snapshot import LinkProblem

if TYPE_CHECKING:
    from datetime import datetime
    from types import TracebackType

    from bakehouse.recipe.commit import Commit, GitFile
    from bakehouse.recipe.snapshot import Snapshot

_SAFE_REF = re.compile(r"(?![-^+])[^\x00-\x20\x7f:?*\[\\]+")
# more than one commit, or one that depends on the clone or the moment
_NOT_ONE_COMMIT = re.compile(r"\.\.|@\{|\^\{/|\^[@!-]")


class Repository(ABC):
    """Commits and their files; a context manager that removes what it has fetched."""

    def __init__(self, name: str) -> None:
        """Keep the name for messages."""
        self.name = name

    def __enter__(self) -> Self:
        """Return the repository."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the repository."""
        self.close()

    def resolve(self, ref: str, not_after: datetime | None = None) -> Commit:
        """Return the commit to bake. Raises RepositoryMissing, UnknownRef, ShallowRepository."""
        if not _SAFE_REF.fullmatch(ref):
            raise UnknownRef(f"{ref!r} is not a branch, tag or commit hash")
        if _NOT_ONE_COMMIT.search(ref):
            raise UnknownRef(
                f"{ref!r} is a range, a search or a place in a reflog: name a branch, tag or commit"
            )
        if not_after is not None and not_after.tzinfo is None:
            raise ValueError(f"the time {not_after.isoformat()} has no zone")
        return self._resolve(ref, not_after)

    def read(self, sha: str, path: str) -> bytes:
        """Read one file, also one that a link means.

        Raises RepositoryMissing, NotInCommit, CommitGone.
        """
        data = self._read(sha, path)
        if data is not None and pointer_in(data) is None:
            return data
        snapshot = self.snapshot(sha)
        try:
            meant = snapshot.resolve(f"{snapshot.prefix}{path}").path
        except LinkProblem as problem:
            is_link = snapshot.entry(f"{snapshot.prefix}{path}") is not None
            raise not_in(sha, self.name, path, str(problem) if is_link else "") from problem
        entry = snapshot.entry(meant)
        if entry is None:
            raise not_in(sha, self.name, path, "is a folder")
        data = snapshot.source.blobs([entry.oid])[0]
        pointer = pointer_in(data)
        try:
            return snapshot.source.large(pointer) if pointer else data
        except LargeFileMissing as missing:
            raise not_in(sha, self.name, path, f"is kept in Git LFS, and {missing}") from missing

    @abstractmethod
    def snapshot(self, sha: str) -> Snapshot:
        """Return all names of a commit. Raises RepositoryMissing, CommitGone."""

    @abstractmethod
    def files(self, sha: str, folder: str) -> dict[str, GitFile]:
        """Read all files below a folder, by relative path.

        Raises RepositoryMissing, NotInCommit, CommitGone.
        """

    @abstractmethod
    def close(self) -> None:
        """Remove what was fetched."""

    @abstractmethod
    def _read(self, sha: str, path: str) -> bytes | None:
        """Read one file; None if the commit has no file of that name, or a link."""

    @abstractmethod
    def _resolve(self, ref: str, not_after: datetime | None) -> Commit:
        """Resolve a ref that is safe to pass to git."""
