"""A repository that recipes are baked from: a path on this disk, or anything that git can fetch.

`resolve` answers with the newest commit of the ref's first-parent history not later than a
given time (committer time); an exact hash is itself.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from datetime import datetime
from types import TracebackType
from typing import Self

from bakehouse.recipe.commit import Commit, GitFile
from bakehouse.recipe.git.errors import UnknownRef

_SAFE_REF = re.compile(r"(?![-^])[^\x00-\x20\x7f:?*\[\\]+")


class Repository(ABC):
    """Commits, and the files of a commit; a context manager that removes what it has fetched."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def resolve(self, ref: str, not_after: datetime | None = None) -> Commit:
        """The commit to bake. Raises RepositoryMissing, UnknownRef, ShallowRepository."""
        if not _SAFE_REF.fullmatch(ref):
            raise UnknownRef(f"{ref!r} is not a branch, tag or commit hash")
        if not_after is not None and not_after.tzinfo is None:
            raise ValueError(f"the time {not_after.isoformat()} has no zone")
        return self._resolve(ref, not_after)

    @abstractmethod
    def read(self, sha: str, path: str) -> bytes:
        """One file's content. Raises RepositoryMissing, NotInCommit, CommitGone."""

    @abstractmethod
    def files(self, sha: str, folder: str) -> dict[str, GitFile]:
        """Everything below a folder, paths relative to it.

        Raises RepositoryMissing, NotInCommit, CommitGone.
        """

    @abstractmethod
    def close(self) -> None:
        """Remove what was fetched."""

    @abstractmethod
    def _resolve(self, ref: str, not_after: datetime | None) -> Commit:
        """The commit, for a ref that is safe to give to git."""
