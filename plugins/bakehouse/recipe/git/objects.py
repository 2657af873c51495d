"""Read commits and files from the objects of a local repository."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bakehouse.recipe.commit import Commit, GitFile, PassedOver
from bakehouse.recipe.git.command import Git, GitFailed
from bakehouse.recipe.git.commit_object import CommitObject, parse_commit
from bakehouse.recipe.git.errors import ShallowRepository, UnknownRef, not_in
from bakehouse.recipe.snapshot import SUBMODULE, Entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_CHUNK = 64  # commits read at a time; four times as many each time
_HEADER_WORDS = 3  # of an object: hash, type, size
_SHOWN = 5  # commits that were passed over


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
        self.prefix = prefix

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
            if kind := self._kind(ref):
                raise UnknownRef(
                    f"{ref} of {self._name} is a {kind}: name a branch, tag or commit"
                ) from unknown
            raise self.no_such(ref) from unknown

    def full_name(self, name: str) -> str:
        """Return the name in full, such as refs/tags/v1; empty for a hash."""
        try:
            return self._git.text("rev-parse", "--symbolic-full-name", name)
        except GitFailed:
            return ""

    def newest(self, tip: str, ref: str, not_after: datetime) -> tuple[str, tuple[PassedOver, ...]]:
        """Return the newest first parent of the tip that is not later, by committer time.

        With it, the newest of those that are later. Raises UnknownRef, ShallowRepository.
        """
        later = list[PassedOver]()
        for sha, committed in self._first_parents(tip):
            if committed <= not_after:
                return sha, tuple(later)
            if len(later) < _SHOWN:
                later.append(PassedOver(sha=sha, committed=committed))
        when = not_after.astimezone(UTC).isoformat(timespec="seconds")
        if self.is_shallow:
            raise ShallowRepository(
                f"{self._name} is a shallow clone that does not reach back to {when}:"
                " run `git fetch --unshallow` there"
            )
        raise UnknownRef(
            f"{ref} of {self._name} has no commit as early as {when}; its newest is"
            f" {later[0].sha[:12]} of {later[0].committed.isoformat(timespec='seconds')}"
        )

    def committed(self, sha: str) -> datetime:
        """Return the committer time."""
        return self._commits([sha])[0].committed

    def describe(
        self,
        sha: str,
        ref: str,
        dirty: Sequence[str] = (),
        passed_over: Sequence[PassedOver] = (),
    ) -> Commit:
        """Return the commit with its author and subject."""
        found = self._commits([sha])[0]
        return Commit(
            sha=sha,
            ref=ref,
            subject=found.subject,
            author_time=found.authored,
            author=found.author,
            dirty=tuple(dirty),
            passed_over=tuple(passed_over),
        )

    def read(self, sha: str, path: str) -> bytes | None:
        """Read one file; None if the commit has no file of that name, or a link."""
        where = f"{self.prefix}{path}"
        listed = self._git.bytes("ls-tree", "-z", "--full-tree", sha, "--", where)
        entry = entries_of(listed).get(where)
        return self.blobs([entry.oid])[0] if entry is not None and entry.is_file else None

    def files(self, sha: str, folder: str) -> dict[str, GitFile]:
        """Read all files and links below a folder, by relative path. Raises NotInCommit."""
        path = PurePosixPath(self.prefix, folder).as_posix()
        path = "" if path == "." else path
        start = f"{path}/" if path else ""
        entries = {p.removeprefix(start): e for p, e in self.tree(sha, path).items()}
        if not entries:
            raise not_in(sha, self._name, folder)
        readable = {p: e for p, e in entries.items() if e.mode != SUBMODULE}
        blobs = self.blobs([entry.oid for entry in readable.values()])
        return {
            path: GitFile(entry.mode, data)
            for (path, entry), data in zip(readable.items(), blobs, strict=True)
        }

    def tree(self, sha: str, folder: str = "") -> dict[str, Entry]:
        """Return everything below a folder, by its path from the repository's top."""
        below = (f"{folder}/",) if folder else ()
        listed = self._git.bytes("ls-tree", "-r", "-z", "--full-tree", sha, "--", *below)
        return entries_of(listed)

    def filters(self, sha: str, paths: Iterable[str]) -> dict[str, str]:
        """Return the `filter` of git attributes, for those paths from the top that have one."""
        with TemporaryDirectory(prefix="bakehouse-git-") as folder:
            git = self._git.without_filters({"GIT_INDEX_FILE": str(Path(folder) / "index")})
            git.text("read-tree", sha)
            return filters_in(git, paths, "--cached")

    def blobs(self, oids: Sequence[str]) -> list[bytes]:
        """Read many objects with one process. Raises GitFailed if one is missing."""
        answer = self._git.bytes("cat-file", "--batch", stdin="\n".join([*oids, ""]).encode())
        blobs, start = [], 0
        for oid in oids:
            header_end = answer.index(b"\n", start)
            facts = answer[start:header_end].split(b" ")
            if len(facts) != _HEADER_WORDS:
                raise GitFailed(("cat-file",), f"object {oid} is missing")
            start = header_end + 1 + int(facts[2]) + 1
            blobs.append(answer[header_end + 1 : start - 1])
        return blobs

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

    def _first_parents(self, tip: str) -> Iterator[tuple[str, datetime]]:
        """Yield commits with their committer times, newest first.

        git's own --min-age reads a date before 1970 as one of the far future.
        """
        skip, count = 0, _CHUNK
        while True:
            limits = (f"--skip={skip}", f"--max-count={count}")
            shas = self._git.text("rev-list", "--first-parent", *limits, tip).split()
            for sha, found in zip(shas, self._commits(shas), strict=True):
                yield sha, found.committed
            if len(shas) < count:
                return
            skip, count = skip + count, count * 4

    def _commits(self, shas: Sequence[str]) -> list[CommitObject]:
        return [parse_commit(data) for data in self.blobs(shas)]

    def _kind(self, ref: str) -> str:
        """Return the kind of an object that is no commit, such as blob."""
        try:
            return self._git.text("cat-file", "-t", ref)
        except GitFailed:
            return ""


def entries_of(listed: bytes, *, staged: bool = False) -> dict[str, Entry]:
    """Read the output of `ls-tree -z`; `staged`: of `ls-files --stage -z`."""
    entries = {}
    for line in filter(None, listed.decode("utf-8", "surrogateescape").split("\0")):
        facts, name = line.split("\t", 1)
        mode, *words = facts.split(" ")
        entries[name] = Entry(int(mode, 8), words[0 if staged else 1])
    return entries


def filters_in(git: Git, paths: Iterable[str], *options: str) -> dict[str, str]:
    """Return the filters of git attributes; `--cached` reads those of the index."""
    asked = "\0".join([*paths, ""]).encode("utf-8", "surrogateescape")
    answer = git.bytes("check-attr", *options, "--stdin", "-z", "filter", stdin=asked)
    words = answer.decode("utf-8", "surrogateescape").split("\0")
    found = dict(zip(words[0::3], words[2::3], strict=False))
    return {path: name for path, name in found.items() if name not in {"unspecified", "unset", ""}}
