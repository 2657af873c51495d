"""A work tree as a repository: HEAD with everything that lies there, committed or not.

Local builds read it, by the same calls by which a bake reads a commit. A folder without git, or
without a commit, has the hash that git itself uses for "none".
"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bakehouse.recipe.commit import Commit, GitFile
from bakehouse.recipe.git.errors import SourceError, not_in
from bakehouse.recipe.git.local import LocalRepository
from bakehouse.recipe.git.repository import Repository
from bakehouse.recipe.git.work_tree import work_tree
from bakehouse.recipe.snapshot import LINK

if TYPE_CHECKING:
    from pathlib import Path

    from bakehouse.recipe.snapshot import Snapshot

NO_COMMIT = "0" * 40
REF = "work-tree"


class WorkTreeRepository(Repository):
    """The work tree of a project; every `sha` stands for what lies there now."""

    def __init__(self, project: Path) -> None:
        super().__init__(str(project))
        self._project = project
        self._open = ExitStack()
        self._staged: Snapshot | None = None

    def snapshot(self, sha: str) -> Snapshot:  # ruff: ignore[unused-method-argument]  there is one
        """Return all names of the work tree, as a commit of everything would have them."""
        if self._staged is None:
            self._staged = self._open.enter_context(work_tree(self._project / "include"))
        return self._staged

    def files(self, sha: str, folder: str) -> dict[str, GitFile]:
        """Read all files below a folder, by relative path. Raises NotInCommit."""
        tree = self.snapshot(sha)
        entries = tree.below(f"{tree.prefix}{folder}")
        if not entries:
            raise not_in(sha, self.name, folder, "")
        blobs = tree.source.blobs([entry.oid for entry in entries.values()])
        return {
            path: GitFile(entry.mode, data)
            for (path, entry), data in zip(entries.items(), blobs, strict=True)
        }

    def close(self) -> None:
        """Remove the copy of the index."""
        self._open.close()
        self._staged = None

    def _read(self, sha: str, path: str) -> bytes | None:
        tree = self.snapshot(sha)
        entry = tree.entry(f"{tree.prefix}{path}")
        if entry is None or not entry.is_file or entry.mode == LINK:
            return None
        return tree.source.blobs([entry.oid])[0]

    def _resolve(self, ref: str, not_after: datetime | None) -> Commit:  # ruff: ignore[unused-method-argument]  HEAD, now
        try:
            with LocalRepository(self.name, {}) as repository:
                head = repository.resolve("HEAD")
        except SourceError:
            now = datetime.now(UTC)
            head = Commit(sha=NO_COMMIT, ref=REF, subject="no commit", author_time=now, author="")
        return head.model_copy(update={"ref": REF, "work_tree": True, "passed_over": ()})
