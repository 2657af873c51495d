"""A repository on this disk, or a folder inside its work tree; it is read in place.

Nothing is fetched into it, and nothing that its configuration names is run. What a partial clone
lacks is fetched from its origin into a temporary folder.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from bakehouse.recipe.commit import shown
from bakehouse.recipe.git.command import NO_FETCH, Git, GitFailed
from bakehouse.recipe.git.errors import (
    RepositoryMissing,
    SourceError,
    commit_gone,
    sha256_repository,
    without_password,
)
from bakehouse.recipe.git.large_files import fetch, stored
from bakehouse.recipe.git.objects import Objects
from bakehouse.recipe.git.remote import RemoteRepository
from bakehouse.recipe.git.repository import Repository
from bakehouse.recipe.git.resolve import resolve
from bakehouse.recipe.lfs import LargeFileMissing, Pointer
from bakehouse.recipe.snapshot import Entry, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from bakehouse.recipe.commit import Commit, GitFile

_PROMISOR = r"^(remote\..*\.promisor|extensions\.partialclone)$"
_URL = re.compile(r"(https?|ssh|git|file)://.+|(?!.*::)[\w.@-]+:.+|[./~].*", re.DOTALL)
T = TypeVar("T")


class LocalRepository(Repository):
    """A local repository."""

    def __init__(self, path: str, env: Mapping[str, str]) -> None:
        """Open the repository. Raises RepositoryMissing, Unsupported."""
        super().__init__(path)
        self._env = dict(env)
        self.git = git_in(path, env)
        self._prefix = self.git.text("rev-parse", "--show-prefix")
        self._objects = Objects(self.git, path, self._prefix)
        self._origin: RemoteRepository | None = None

    def files(self, sha: str, folder: str) -> dict[str, GitFile]:
        """Read all files below a folder. Raises NotInCommit, CommitGone."""
        self._need(sha)
        return self.or_origin(sha, lambda objects: objects.files(sha, folder))

    def snapshot(self, sha: str) -> Snapshot:
        """Return all names of a commit."""
        self._need(sha)
        return Snapshot(_AtCommit(self, sha, self._prefix))

    def close(self) -> None:
        """Remove what was fetched from the origin of a partial clone."""
        if self._origin is not None:
            self._origin.close()

    def or_origin(self, sha: str, read: Callable[[Objects], T]) -> T:
        """Read from here, else from the origin of a partial clone. Raises Unreachable."""
        try:
            return read(self._objects)
        except GitFailed as missing:
            if not self.git.setting(_PROMISOR):
                raise SourceError(
                    f"{self.name} is damaged ({missing}): run `git fsck` there, or clone it again"
                ) from missing
        return read(self._from_origin(sha))

    def large(self, pointer: Pointer) -> bytes:
        """Return the content of a file that Git LFS keeps. Raises LargeFileMissing, Unreachable."""
        data = self.stored(pointer)
        if data is not None:
            return data
        url = self._origin_url()
        if url is None:
            raise LargeFileMissing("the clone neither has it nor has an origin to fetch it from")
        return fetch(pointer, url, self._env)

    def stored(self, pointer: Pointer) -> bytes | None:
        """Return the content of a file that Git LFS keeps, if this clone has fetched it before."""
        common = Path(self.git.text("rev-parse", "--git-common-dir"))
        return stored(pointer, self.git.folder / common)

    def _read(self, sha: str, path: str) -> bytes | None:
        self._need(sha)
        return self.or_origin(sha, lambda objects: objects.read(sha, path))

    def _resolve(self, ref: str, not_after: datetime | None) -> Commit:
        try:
            found = resolve(self._objects, ref, not_after)
            return self._objects.describe(found.sha, ref, self._dirty(), found.passed_over)
        except GitFailed as damaged:
            raise SourceError(
                f"{self.name} is damaged ({damaged}): run `git fsck` there, or clone it again"
            ) from damaged

    def _need(self, sha: str) -> None:
        """Raise if the commit of an earlier task does not exist any more."""
        if not self._objects.has(sha):
            raise self._absent(sha)

    def _absent(self, sha: str) -> SourceError:
        shallow = self._objects.is_shallow
        return self._objects.no_such(sha) if shallow else commit_gone(sha, self.name)

    def _dirty(self) -> tuple[str, ...]:
        if self.git.text("rev-parse", "--is-inside-work-tree") != "true":
            return ()
        how = ("--porcelain=v1", "-z", "--no-renames", "--ignore-submodules=dirty")
        try:
            changed = self.git.without_filters().bytes("status", *how, "--", ".")
        except GitFailed:
            return ()  # a partial clone may lack what it would be compared with
        entries = changed.decode("utf-8", "surrogateescape").split("\0")
        paths = (entry[3:].removeprefix(self._prefix) for entry in entries if entry)
        return tuple(sorted(map(shown, paths)))

    def _from_origin(self, sha: str) -> Objects:
        """Fetch one commit of a partial clone from its origin. Raises Unreachable."""
        if self._origin is None:
            url = self._origin_url()
            if url is None:
                raise SourceError(
                    f"{self.name} is a partial clone without the files of commit {sha[:12]}, and"
                    " has no origin to fetch them from: run `git remote add origin URL` there"
                )
            self._origin = RemoteRepository(url, self._env)
        try:
            return self._origin.objects(sha)
        except SourceError as refused:
            raise type(refused)(
                f"{self.name} is a partial clone without the files of commit {sha[:12]}, and its"
                f" origin {without_password(self._origin.name)} does not give them: {refused}"
            ) from refused

    def _origin_url(self) -> str | None:
        """Return the URL of the origin; None for one that would start a program."""
        urls = self.git.setting(r"^remote\.origin\.url$") or self.git.setting(r"^remote\..*\.url$")
        if not urls or not _URL.fullmatch(urls[0]):
            return None
        if not urls[0].startswith((".", "/", "~")):
            return urls[0]
        top = self.git.folder / self.git.text("rev-parse", "--show-cdup")
        return f"file://{(top / Path(urls[0]).expanduser()).resolve()}"


class _AtCommit:
    """The names and contents of a commit of a local repository."""

    def __init__(self, repository: LocalRepository, sha: str, prefix: str) -> None:
        self.name, self.prefix = repository.name, prefix
        self._repository, self._sha = repository, sha

    def tree(self, folder: str) -> Mapping[str, Entry]:
        return self._read(lambda objects: objects.tree(self._sha, folder))

    def blobs(self, oids: Sequence[str]) -> list[bytes]:
        return self._read(lambda objects: objects.blobs(oids))

    def filters(self, paths: Iterable[str]) -> Mapping[str, str]:
        wanted = list(paths)
        return self._read(lambda objects: objects.filters(self._sha, wanted))

    def large(self, pointer: Pointer) -> bytes:
        return self._repository.large(pointer)

    def _read(self, read: Callable[[Objects], T]) -> T:
        return self._repository.or_origin(self._sha, read)


def git_in(path: str, env: Mapping[str, str]) -> Git:
    """Return a git that reads a repository in place. Raises RepositoryMissing, Unsupported."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise RepositoryMissing(f"{path} is not a folder: correct the connection's host")
    top = next((f for f in (folder, *folder.resolve().parents) if (f / ".git").exists()), folder)
    git = Git(folder, {**env, **NO_FETCH}, safe=top.resolve())
    try:
        kind = git.text("rev-parse", "--show-object-format")
    except GitFailed as broken:
        if "unknown repository" in broken.output or "repo version" in broken.output:
            version = git.text("version")
            raise RepositoryMissing(
                f"{version} cannot read {path}: {broken}: install a newer git on the workers"
            ) from broken
        raise RepositoryMissing(f"{path} is not a git repository: {broken}") from broken
    if kind != "sha1":
        raise sha256_repository(path)
    return git
