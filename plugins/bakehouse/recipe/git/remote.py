"""A remote repository, of which the necessary part is fetched into a temporary folder.

For a branch, tag or hash that is one commit without history; its files are fetched when they are
read. For history (a commit older than the ref's newest, `HEAD~3`, an abbreviated hash) it is all
commits without files. From a server that supports neither, everything is cloned.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bakehouse.recipe.git.command import FETCH_SECONDS, Git, GitFailed
from bakehouse.recipe.git.errors import AccessRefused, Unsupported, commit_gone, fetch_error
from bakehouse.recipe.git.large_files import fetch
from bakehouse.recipe.git.objects import Objects
from bakehouse.recipe.git.repository import Repository
from bakehouse.recipe.git.resolve import HASH, Resolved, resolve
from bakehouse.recipe.snapshot import Entry, Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from bakehouse.recipe.commit import Commit, GitFile
    from bakehouse.recipe.lfs import Pointer

# a name that git fetch accepts as a ref: without ~ ^ @{ + of revisions
_PLAIN_NAME = re.compile(r"\w[\w./-]*")
_BRANCH_OR_TAG = re.compile(r"[0-9a-f]{40}\t\t(branch '|tag ')")
_NO_FILES = "--filter=blob:none"
_COMMITS_ONLY = "--filter=tree:0"
_QUIET = ("--quiet", "--no-tags", "--no-recurse-submodules")


class RemoteRepository(Repository):
    """A remote repository."""

    def __init__(self, url: str, env: Mapping[str, str]) -> None:
        """Create an empty temporary folder."""
        super().__init__(url)
        self._env = dict(env)
        self._temporary = TemporaryDirectory(prefix="bakehouse-git-")
        self._fetched: dict[str, Objects] = {}  # by commit
        self._with_files: set[str] = set()  # commits that were fetched with all files
        self._clones: dict[str, Objects] = {}  # by name

    def close(self) -> None:
        """Remove the temporary folder."""
        self._temporary.cleanup()

    def files(self, sha: str, folder: str) -> dict[str, GitFile]:
        """Read all files below a folder."""
        return self.objects(sha).files(sha, folder)

    def snapshot(self, sha: str) -> Snapshot:
        """Return all names of a commit."""
        return Snapshot(_AtCommit(self, sha))

    def large(self, pointer: Pointer) -> bytes:
        """Return the content of a file that Git LFS keeps."""
        return fetch(pointer, self.name, self._env)

    def _read(self, sha: str, path: str) -> bytes | None:
        """Read one file; fetch this file alone if the files of its commit were not fetched."""
        if sha in self._fetched:
            with suppress(GitFailed):  # if the server sends no single files
                return self._fetched[sha].read(sha, path)
        return self.objects(sha).read(sha, path)

    def _resolve(self, ref: str, not_after: datetime | None) -> Commit:
        found = self._newest(ref)
        if found is not None:
            sha, objects, is_exact = found
            if is_exact or not_after is None or objects.committed(sha) <= not_after:
                return self._described(objects, Resolved(sha), ref)
        objects = self._clone("history", _COMMITS_ONLY)
        return self._described(objects, resolve(objects, ref, not_after), ref)

    def _described(self, objects: Objects, found: Resolved, ref: str) -> Commit:
        self._fetched.setdefault(found.sha, objects)
        return objects.describe(found.sha, ref, (), found.passed_over)

    def _newest(self, ref: str) -> tuple[str, Objects, bool] | None:
        """Return the commit of a branch, tag or hash; None if that needs a clone.

        With it, whether the ref means this commit for ever: a tag or hash.
        """
        if not _PLAIN_NAME.fullmatch(ref):
            return None
        folder = self._init("newest")
        git = Git(folder, self._env)
        try:
            git.text("fetch", *_QUIET, "--depth=1", _NO_FILES, "origin", ref, seconds=FETCH_SECONDS)
            fetch_head = (folder / "FETCH_HEAD").read_text(encoding="utf-8", errors="replace")
            sha = git.text("rev-parse", "--verify", "FETCH_HEAD^{commit}")
        except GitFailed as failed:
            error = fetch_error(self.name, str(failed), failed.output)
            if isinstance(error, AccessRefused | Unsupported):
                raise error from failed
            return None
        found = _BRANCH_OR_TAG.match(fetch_head)
        is_hash = HASH.fullmatch(ref) is not None and sha == ref
        if not (ref == "HEAD" or is_hash or found):
            return None
        is_tag = found is not None and found[1] == "tag '"
        return sha, Objects(git, self.name), is_hash or is_tag

    def objects(self, sha: str) -> Objects:
        """Fetch one commit with all its files. Raises RepositoryMissing, CommitGone."""
        if sha in self._with_files:
            return self._fetched[sha]
        git = Git(self._init(sha), self._env)
        try:
            git.text("fetch", *_QUIET, "--depth=1", "origin", sha, seconds=FETCH_SECONDS)
            found = Objects(git, self.name)
        except GitFailed:  # the server supports no fetch by hash, or no shallow fetch
            found = self._clone("everything")
        if not found.has(sha):
            raise commit_gone(sha, self.name)
        self._fetched[sha] = found
        self._with_files.add(sha)
        return found

    def _init(self, name: str) -> Path:
        """Create an empty repository with the remote, without templates and hooks."""
        folder = Path(self._temporary.name) / name
        git = Git(Path(self._temporary.name), self._env)
        git.text("init", "--quiet", "--bare", "--template=", str(folder))
        Git(folder, self._env).text("config", "remote.origin.url", self.name)
        return folder

    def _clone(self, name: str, *options: str) -> Objects:
        """Clone all branches and tags. Raises RepositoryMissing."""
        if name in self._clones:
            return self._clones[name]
        outside = Git(Path(self._temporary.name), self._env)
        how = ("--bare", "--quiet", "--no-local", "--template=", *options)
        try:
            outside.text("clone", *how, "--", self.name, name, seconds=FETCH_SECONDS)
        except GitFailed as failed:
            raise fetch_error(self.name, str(failed), failed.output) from failed
        git = Git(Path(self._temporary.name) / name, self._env)
        self._clones[name] = Objects(git, self.name)
        return self._clones[name]


class _AtCommit:
    """The names and contents of a commit; it is fetched with all its files."""

    prefix = ""

    def __init__(self, repository: RemoteRepository, sha: str) -> None:
        self.name = repository.name
        self._repository, self._sha = repository, sha

    def tree(self, folder: str) -> Mapping[str, Entry]:
        return self._repository.objects(self._sha).tree(self._sha, folder)

    def blobs(self, oids: Sequence[str]) -> list[bytes]:
        return self._repository.objects(self._sha).blobs(oids)

    def filters(self, paths: Iterable[str]) -> Mapping[str, str]:
        return self._repository.objects(self._sha).filters(self._sha, paths)

    def large(self, pointer: Pointer) -> bytes:
        return self._repository.large(pointer)
