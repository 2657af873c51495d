"""Read commits and files from the objects of a local repository."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from bakehouse.recipe.commit import Commit, GitFile
from bakehouse.recipe.git.command import Git, GitFailed
from bakehouse.recipe.git.errors import NotInCommit, ShallowRepository, UnknownRef

if TYPE_CHECKING:
    from collections.abc import Sequence

_REGULAR, _SYMLINK = "100", "120000"


class Objects:
    """The objects of one repository."""

    def __init__(self, git: Git, name: str, prefix: str = "") -> None:
        """Read through `git`.

        Args:
            git: Runs git in the repository.
            name: The repository's name in messages.
            prefix: The folder that all paths are relative to; ends in `/`.
        """
        self._git = git
        self._name = name
        self._prefix = prefix

    def has(self, sha: str) -> bool:
        """Whether the commit exists here."""
        try:
            self._git.text("cat-file", "-e", f"{sha}^{{commit}}")
        except GitFailed:
            return False
        return True

    def tip(self, ref: str) -> str:
        """Return the commit of a ref. Raises UnknownRef, ShallowRepository."""
        try:
            return self._git.text("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
        except GitFailed as unknown:
            raise self.no_such(ref) from unknown

    def is_ref(self, name: str) -> bool:
        """Whether a branch or tag has this name; a hash, or the beginning of one, has none."""
        return bool(self._git.text("rev-parse", "--symbolic-full-name", name))

    def newest(self, tip: str, ref: str, not_after: datetime) -> str:
        """Return the newest first parent of the tip that is not later, by committer time.

        Raises UnknownRef, ShallowRepository.
        """
        latest = f"--min-age={int(not_after.timestamp())}"
        sha = self._git.text("rev-list", "--first-parent", "--max-count=1", latest, tip)
        if sha:
            return sha
        when = not_after.astimezone(UTC).isoformat(timespec="seconds")
        if self.is_shallow:
            raise ShallowRepository(
                f"{self._name} is a shallow clone that does not reach back to {when}:"
                " run `git fetch --unshallow` there"
            )
        raise UnknownRef(f"{ref} of {self._name} has no commit as early as {when}")

    def committed(self, sha: str) -> datetime:
        """Return the committer time."""
        return datetime.fromtimestamp(int(self._format(sha, "%ct")), UTC)

    def describe(self, sha: str, ref: str, dirty: Sequence[str] = ()) -> Commit:
        """Return the commit with its author and subject."""
        facts = self._format(sha, "%H%x00%aI%x00%an <%ae>%x00%s")
        full, when, author, subject = facts.split("\0", 3)
        return Commit(
            sha=full,
            ref=ref,
            subject=subject,
            author_time=datetime.fromisoformat(when),
            author=author,
            dirty=tuple(dirty),
        )

    def read(self, sha: str, path: str) -> bytes:
        """Read one file. Raises NotInCommit."""
        try:
            return self._git.bytes("cat-file", "blob", f"{sha}:{self._prefix}{path}")
        except GitFailed as missing:
            raise self._not_in(sha, path) from missing

    def files(self, sha: str, folder: str) -> dict[str, GitFile]:
        """Read all files below a folder, by relative path. Raises NotInCommit."""
        entries = self._tree(sha, folder)
        blobs = self._blobs([oid for _, oid in entries.values()])
        return {
            path: GitFile(int(mode, 8), data)
            for (path, (mode, _)), data in zip(entries.items(), blobs, strict=True)
        }

    @property
    def is_shallow(self) -> bool:
        """Whether this is a shallow clone."""
        return self._git.text("rev-parse", "--is-shallow-repository") == "true"

    def no_such(self, ref: str) -> UnknownRef | ShallowRepository:
        """Return the error for a ref or hash that does not exist."""
        if self.is_shallow:
            return ShallowRepository(
                f"{self._name} is a shallow clone without {ref}: run `git fetch --unshallow` there"
            )
        return UnknownRef(
            f"{self._name} has no branch, tag or commit {ref}: push it, or use another one"
        )

    def _format(self, sha: str, form: str) -> str:
        """Format a commit; `git show` would read its files too."""
        text = self._git.text("rev-list", "--max-count=1", f"--format={form}", sha)
        return text.partition("\n")[2]  # after the line `commit <sha>`

    def _not_in(self, sha: str, path: str) -> NotInCommit:
        return NotInCommit(
            f"commit {sha[:12]} of {self._name} has no {path}: commit it, or bake a commit with it"
        )

    def _tree(self, sha: str, folder: str) -> dict[str, tuple[str, str]]:
        """Return mode and object of all files below a folder, by relative path."""
        path = PurePosixPath(self._prefix, folder).as_posix()
        path = "" if path == "." else path  # git's name for the top
        try:
            listed = self._git.bytes("ls-tree", "-r", "-z", "--full-tree", f"{sha}:{path}")
        except GitFailed as missing:
            raise self._not_in(sha, folder) from missing
        entries = {}
        for line in filter(None, listed.decode("utf-8", "surrogateescape").split("\0")):
            facts, name = line.split("\t", 1)
            mode, _, oid = facts.split(" ")
            if mode.startswith(_REGULAR) or mode == _SYMLINK:
                entries[name] = (mode, oid)
        return entries

    def _blobs(self, oids: list[str]) -> list[bytes]:
        """Read many objects with one process."""
        answer = self._git.bytes("cat-file", "--batch", stdin="\n".join([*oids, ""]).encode())
        blobs, start = [], 0
        for _ in oids:
            header_end = answer.index(b"\n", start)
            size = int(answer[start:header_end].split(b" ")[2])
            start = header_end + 1 + size + 1
            blobs.append(answer[header_end + 1 : start - 1])
        return blobs
