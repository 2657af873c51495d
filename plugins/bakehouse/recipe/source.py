"""Commits and files, straight from git's objects: a work tree is never read nor touched.

`resolve` answers with the newest commit of the ref's first-parent history not later than a
given time (committer time); an exact hash is itself.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import NamedTuple, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict

from bakehouse.recipe.git import Git, GitFailed
from bakehouse.recipe.load import load_recipe
from bakehouse.recipe.model import Recipe

RECIPES = "include/recipes"
SCRIPTS = "include/startup_scripts"
GUEST = "guest"  # Bakehouse's own half, a folder below SCRIPTS beside the *.j2 at its top

_HASH = re.compile(r"[0-9a-f]{40}")
_HASH_BEGINNING = re.compile(r"[0-9a-f]{7,40}")
_FETCH_SECONDS = 600.0
_REGULAR, _SYMLINK = "100", "120000"
_SAFE_REF = re.compile(r"(?!-)[^\x00-\x20\x7f:?*\[\\]+")


class SourceError(ValueError):
    """What was asked for cannot be read; the message says what is wrong and what to do."""


class RepositoryMissing(SourceError):
    """No git repository there, or none that answers."""


class UnknownRef(SourceError):
    """The repository has no such branch, tag or commit, or none of that age."""


class ShallowRepository(SourceError):
    """The history that would answer was cut off by a shallow clone."""


class CommitGone(SourceError):
    """A commit that was there is not to be had any more: the branch was rewritten (force-push)."""


class NotInCommit(SourceError):
    """The commit has no such file."""


class Commit(BaseModel):
    """A commit, and what the work tree had beside it (never baked, only told)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha: str
    ref: str
    subject: str
    author_time: AwareDatetime
    author: str
    dirty: tuple[str, ...] = ()


class GitFile(NamedTuple):
    """One file of a commit; `mode` as git has it: 0o100644, 0o100755, 0o120000 (a link)."""

    mode: int
    data: bytes


class Repository:
    """A local path (also of a folder inside a work tree) or anything that git can clone.

    A remote one is fetched into a temporary bare repository, removed on `close`.
    Raises RepositoryMissing.
    """

    def __init__(self, url_or_path: str | Path, env: Mapping[str, str] | None = None) -> None:
        self.name = str(url_or_path)
        self._env = dict(env or {})
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self.local = not _is_remote(self.name)
        self._git = self._open() if self.local else self._fetch()
        self._prefix = self._git.text("rev-parse", "--show-prefix") if self.local else ""
        self._here: set[str] = set()  # commits that are known to be here

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._temporary:
            self._temporary.cleanup()
            self._temporary = None

    def resolve(self, ref: str, not_after: datetime | None = None) -> Commit:
        """The commit to bake. Raises UnknownRef, ShallowRepository."""
        tip = self._tip(ref)
        if not_after is None or self._is_exact(ref, tip):
            return self._describe(tip, ref)
        return self._describe(self._newest(tip, ref, not_after), ref)

    def read(self, sha: str, path: str) -> bytes:
        """One file's content. Raises NotInCommit, CommitGone."""
        self._need(sha)
        try:
            return self._git.bytes("cat-file", "blob", f"{sha}:{self._prefix}{path}")
        except GitFailed as missing:
            raise self._not_in(sha, path) from missing

    def files(self, sha: str, folder: str) -> dict[str, GitFile]:
        """Everything below a folder, paths relative to it. Raises NotInCommit, CommitGone."""
        self._need(sha)
        entries = self._tree(sha, folder)
        blobs = _batch(self._git, [oid for _, oid in entries.values()])
        return {
            path: GitFile(int(mode, 8), data)
            for (path, (mode, _)), data in zip(entries.items(), blobs, strict=True)
        }

    def _open(self) -> Git:
        folder = Path(self.name).expanduser()
        if not folder.is_dir():
            raise RepositoryMissing(f"{self.name} is not a folder: mend the connection's host")
        top = next(
            (f for f in (folder, *folder.resolve().parents) if (f / ".git").exists()), folder
        )
        git = Git(folder, self._env, safe=top.resolve())
        try:
            git.text("rev-parse", "--git-dir")
        except GitFailed as broken:
            raise RepositoryMissing(f"{self.name} is not a git repository: {broken}") from broken
        return git

    def _fetch(self) -> Git:
        self._temporary = tempfile.TemporaryDirectory(prefix="bakehouse-git-")
        folder = Path(self._temporary.name)
        try:
            options = ("--bare", "--quiet", "--no-local", "--", self.name, "repository")
            Git(folder, self._env).text("clone", *options, seconds=_FETCH_SECONDS)
        except GitFailed as unreachable:
            self.close()
            raise RepositoryMissing(f"cannot fetch {self.name}: {unreachable}") from unreachable
        return Git(folder / "repository", self._env)

    def _tip(self, ref: str) -> str:
        if not _SAFE_REF.fullmatch(ref):
            raise UnknownRef(f"{ref!r} is not a branch, tag or commit hash")
        if _HASH.fullmatch(ref) and not self.local:
            self._fetch_hash(ref)
        try:
            return self._git.text("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
        except GitFailed as unknown:
            raise self._no_such(ref) from unknown

    def _is_exact(self, ref: str, tip: str) -> bool:
        """A hash, whole or the beginning of one, and no branch that happens to look like it."""
        if not _HASH_BEGINNING.fullmatch(ref) or not tip.startswith(ref):
            return False
        return not self._git.text("rev-parse", "--symbolic-full-name", ref)

    def _fetch_hash(self, sha: str) -> None:
        """A clone has only what branches and tags reach; a server may give more when asked."""
        try:
            self._git.text("cat-file", "-e", f"{sha}^{{commit}}")
        except GitFailed:
            self._ask_for(sha)

    def _ask_for(self, sha: str) -> None:
        try:
            self._git.text("fetch", "--quiet", "origin", sha, seconds=_FETCH_SECONDS)
        except GitFailed as refused:
            raise self._no_such(sha) from refused

    def _need(self, sha: str) -> None:
        """A commit named by an earlier task: no branch may reach it now, a server may keep it."""
        if sha in self._here:
            return
        try:
            self._git.text("cat-file", "-e", f"{sha}^{{commit}}")
        except GitFailed as absent:
            if self.local or not self._given(sha):
                raise self._gone(sha) from absent
        self._here.add(sha)

    def _given(self, sha: str) -> bool:
        try:
            self._ask_for(sha)
        except SourceError:
            return False
        return True

    def _gone(self, sha: str) -> SourceError:
        if self._is_shallow():
            return self._no_such(sha)
        return CommitGone(
            f"commit {sha[:12]} is not in {self.name} any more, its branch was rewritten (a"
            " force-push?): clear resolve_commit and downstream to bake what is there now"
        )

    def _newest(self, tip: str, ref: str, not_after: datetime) -> str:
        if not_after.tzinfo is None:
            raise ValueError(f"the time {not_after.isoformat()} has no zone")
        latest = f"--min-age={int(not_after.timestamp())}"
        sha = self._git.text("rev-list", "--first-parent", "--max-count=1", latest, tip)
        if sha:
            return sha
        when = not_after.astimezone(UTC).isoformat(timespec="seconds")
        if self._is_shallow():
            raise ShallowRepository(
                f"{self.name} is a shallow clone that does not reach back to {when}:"
                " run `git fetch --unshallow` there"
            )
        raise UnknownRef(f"{ref} of {self.name} has no commit as early as {when}")

    def _no_such(self, ref: str) -> SourceError:
        if self._is_shallow():
            return ShallowRepository(
                f"{self.name} is a shallow clone without {ref}: run `git fetch --unshallow` there"
            )
        return UnknownRef(
            f"{self.name} has no branch, tag or commit {ref}: push it, or ask for another"
        )

    def _not_in(self, sha: str, path: str) -> NotInCommit:
        return NotInCommit(
            f"commit {sha[:12]} of {self.name} has no {path}: commit it, or bake a commit that has"
        )

    def _is_shallow(self) -> bool:
        return self._git.text("rev-parse", "--is-shallow-repository") == "true"

    def _describe(self, sha: str, ref: str) -> Commit:
        shown = self._git.text("show", "--no-patch", "--format=%H%x00%aI%x00%an <%ae>%x00%s", sha)
        full, when, author, subject = shown.split("\0", 3)
        return Commit(
            sha=full,
            ref=ref,
            subject=subject,
            author_time=datetime.fromisoformat(when),
            author=author,
            dirty=self._dirty(),
        )

    def _dirty(self) -> tuple[str, ...]:
        if not self.local or self._git.text("rev-parse", "--is-inside-work-tree") != "true":
            return ()
        changed = self._git.bytes("status", "--porcelain=v1", "-z", "--no-renames", "--", ".")
        entries = changed.decode("utf-8", "replace").split("\0")
        return tuple(sorted(entry[3:].removeprefix(self._prefix) for entry in entries if entry))

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


def recipe_at(repository: Repository, sha: str, name: str) -> Recipe:
    """The recipe as of a commit. Raises NotInCommit, load.Mistakes."""
    path = f"{RECIPES}/{name}.yaml"
    return load_recipe(repository.read(sha, path).decode("utf-8", "replace"), path)


def scripts_at(repository: Repository, sha: str, recipe: Recipe) -> dict[str, GitFile]:
    """What render() wants: the recipe's scripts and Bakehouse's own, below SCRIPTS.

    Raises NotInCommit when the commit has no folder for this recipe.
    """
    everything = repository.files(sha, SCRIPTS)
    wanted = (f"{recipe.scripts}/", f"{GUEST}/")
    kept = {p: f for p, f in everything.items() if p.startswith(wanted) or "/" not in p}
    if not any(path.startswith(wanted[0]) for path in kept):
        raise NotInCommit(
            f"commit {sha[:12]} of {repository.name} has no {SCRIPTS}/{recipe.scripts}/:"
            f" commit the scripts of {recipe.name}, or name their folder in `scripts`"
        )
    return kept


def _is_remote(name: str) -> bool:
    """As git decides: a URL, or host:path with no slash before the colon."""
    return "://" in name or re.match(r"[^/]+:", name) is not None


def _batch(git: Git, oids: list[str]) -> list[bytes]:
    """The content of many objects by one process."""
    answer = git.bytes("cat-file", "--batch", stdin="\n".join([*oids, ""]).encode())
    blobs, start = [], 0
    for _ in oids:
        header_end = answer.index(b"\n", start)
        size = int(answer[start:header_end].split(b" ")[2])
        start = header_end + 1 + size + 1
        blobs.append(answer[header_end + 1 : start - 1])
    return blobs
