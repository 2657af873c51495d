"""The interface of a repository, local or remote.

`resolve` returns the newest commit of the ref's first-parent history that is not later than a given
time (by committer time); a hash is returned as it is.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

from bakehouse.recipe.git.errors import UnknownRef

if TYPE_CHECKING:
    from datetime import datetime
    from types import TracebackType

    from bakehouse.recipe.commit import Commit, GitFile

_SAFE_REF = re.compile(r"(?![-^])[^\x00-\x20\x7f:?*\[\\]+")


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
        if not_after is not None and not_after.tzinfo is None:
            raise ValueError(f"the time {not_after.isoformat()} has no zone")
        return self._resolve(ref, not_after)

    @abstractmethod
    def read(self, sha: str, path: str) -> bytes:
        """Read one file. Raises RepositoryMissing, NotInCommit, CommitGone."""

    @abstractmethod
    def files(self, sha: str, folder: str) -> dict[str, GitFile]:
        """Read all files below a folder, by relative path.

        Raises RepositoryMissing, NotInCommit, CommitGone.
        """

    @abstractmethod
    def close(self) -> None:
        """Remove what was fetched."""

    @abstractmethod
    def _resolve(self, ref: str, not_after: datetime | None) -> Commit:
        """Resolve a ref that is safe to pass to git."""
