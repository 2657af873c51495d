"""A repository on this disk, or a folder inside its work tree; it is read in place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bakehouse.recipe.git.command import Git, GitFailed
from bakehouse.recipe.git.errors import RepositoryMissing, SourceError, commit_gone
from bakehouse.recipe.git.objects import Objects
from bakehouse.recipe.git.repository import Repository
from bakehouse.recipe.git.resolve import resolve

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from bakehouse.recipe.commit import Commit, GitFile


class LocalRepository(Repository):
    """A local repository."""

    def __init__(self, path: str, env: Mapping[str, str]) -> None:
        """Open the repository. Raises RepositoryMissing."""
        super().__init__(path)
        self._git = _git_in(path, env)
        self._prefix = self._git.text("rev-parse", "--show-prefix")
        self._objects = Objects(self._git, path, self._prefix)

    def read(self, sha: str, path: str) -> bytes:
        """Read one file. Raises NotInCommit, CommitGone."""
        self._need(sha)
        return self._objects.read(sha, path)

    def files(self, sha: str, folder: str) -> dict[str, GitFile]:
        """Read all files below a folder. Raises NotInCommit, CommitGone."""
        self._need(sha)
        return self._objects.files(sha, folder)

    def close(self) -> None:
        """Do nothing: a local repository fetches nothing."""

    def _resolve(self, ref: str, not_after: datetime | None) -> Commit:
        sha = resolve(self._objects, ref, not_after)
        return self._objects.describe(sha, ref, self._dirty())

    def _need(self, sha: str) -> None:
        """Raise if the commit of an earlier task does not exist any more."""
        if not self._objects.has(sha):
            raise self._absent(sha)

    def _absent(self, sha: str) -> SourceError:
        shallow = self._objects.is_shallow
        return self._objects.no_such(sha) if shallow else commit_gone(sha, self.name)

    def _dirty(self) -> tuple[str, ...]:
        if self._git.text("rev-parse", "--is-inside-work-tree") != "true":
            return ()
        changed = self._git.bytes("status", "--porcelain=v1", "-z", "--no-renames", "--", ".")
        entries = changed.decode("utf-8", "replace").split("\0")
        return tuple(sorted(entry[3:].removeprefix(self._prefix) for entry in entries if entry))


def _git_in(path: str, env: Mapping[str, str]) -> Git:
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise RepositoryMissing(f"{path} is not a folder: correct the connection's host")
    top = next((f for f in (folder, *folder.resolve().parents) if (f / ".git").exists()), folder)
    git = Git(folder, env, safe=top.resolve())
    try:
        git.text("rev-parse", "--git-dir")
    except GitFailed as broken:
        raise RepositoryMissing(f"{path} is not a git repository: {broken}") from broken
    return git
