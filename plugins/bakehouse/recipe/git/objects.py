"""Commits and files of a repository on this disk, read from its objects."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath

from bakehouse.recipe.commit import Commit, GitFile
from bakehouse.recipe.git.command import Git, GitFailed
from bakehouse.recipe.git.errors import NotInCommit, ShallowRepository, UnknownRef

_REGULAR, _SYMLINK = "100", "120000"


class Objects:
    """What one repository holds.

    :param name: how messages name the repository.
    :param prefix: the folder inside the repository that all paths are relative to; ends in `/`.
    """

    def __init__(self, git: Git, name: str, prefix: str = "") -> None:
        self._git = git
        self._name = name
        self._prefix = prefix

    def has(self, sha: str) -> bool:
        """Whether the commit is here."""
        try:
            self._git.text("cat-file", "-e", f"{sha}^{{commit}}")
        except GitFailed:
            return False
        return True

    def tip(self, ref: str) -> str:
        """The commit that a ref names. Raises UnknownRef, ShallowRepository."""
        try:
            return self._git.text("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
        except GitFailed as unknown:
            raise self.no_such(ref) from unknown

    def is_ref(self, name: str) -> bool:
        """Whether a branch or tag has this name; a hash, or the beginning of one, has none."""
        return bool(self._git.text("rev-parse", "--symbolic-full-name", name))

    def newest(self, tip: str, ref: str, not_after: datetime) -> str:
        """The newest commit of the tip's first parents that is not later (by committer time).

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
        """The committer's time."""
        return datetime.fromtimestamp(int(self._told(sha, "%ct")), UTC)

    def describe(self, sha: str, ref: str, dirty: Sequence[str] = ()) -> Commit:
        """The commit with its author and subject."""
        told = self._told(sha, "%H%x00%aI%x00%an <%ae>%x00%s")
        full, when, author, subject = told.split("\0", 3)
        return Commit(
            sha=full,
            ref=ref,
            subject=subject,
            author_time=datetime.fromisoformat(when),
            author=author,
            dirty=tuple(dirty),
        )

    def read(self, sha: str, path: str) -> bytes:
        """One file's content. Raises NotInCommit."""
        try:
            return self._git.bytes("cat-file", "blob", f"{sha}:{self._prefix}{path}")
        except GitFailed as missing:
            raise self._not_in(sha, path) from missing

    def files(self, sha: str, folder: str) -> dict[str, GitFile]:
        """Everything below a folder, paths relative to it. Raises NotInCommit."""
        entries = self._tree(sha, folder)
        blobs = self._blobs([oid for _, oid in entries.values()])
        return {
            path: GitFile(int(mode, 8), data)
            for (path, (mode, _)), data in zip(entries.items(), blobs, strict=True)
        }

    @property
    def is_shallow(self) -> bool:
        """Whether its history was cut off."""
        return self._git.text("rev-parse", "--is-shallow-repository") == "true"

    def no_such(self, ref: str) -> UnknownRef | ShallowRepository:
        """The error for a ref or hash that is not here."""
        if self.is_shallow:
            return ShallowRepository(
                f"{self._name} is a shallow clone without {ref}: run `git fetch --unshallow` there"
            )
        return UnknownRef(
            f"{self._name} has no branch, tag or commit {ref}: push it, or ask for another"
        )

    def _told(self, sha: str, form: str) -> str:
        """Facts of the commit itself; `git show` would look at its files too."""
        told = self._git.text("rev-list", "--max-count=1", f"--format={form}", sha)
        return told.partition("\n")[2]  # behind the line `commit <sha>`

    def _not_in(self, sha: str, path: str) -> NotInCommit:
        return NotInCommit(
            f"commit {sha[:12]} of {self._name} has no {path}: commit it, or bake a commit that has"
        )

    def _tree(self, sha: str, folder: str) -> dict[str, tuple[str, str]]:
        """Path below the folder -> (mode, object)."""
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
        """The content of many objects by one process."""
        answer = self._git.bytes("cat-file", "--batch", stdin="\n".join([*oids, ""]).encode())
        blobs, start = [], 0
        for _ in oids:
            header_end = answer.index(b"\n", start)
            size = int(answer[start:header_end].split(b" ")[2])
            start = header_end + 1 + size + 1
            blobs.append(answer[header_end + 1 : start - 1])
        return blobs
