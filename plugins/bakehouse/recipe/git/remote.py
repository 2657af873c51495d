"""A repository elsewhere: fetched into a temporary folder, as little of it as will do.

A branch, a tag or a hash: one commit without its history, and its files only when they are read.
History (an older commit than the ref's newest, `HEAD~3`, the beginning of a hash): commits without
files. A server that cannot do either sends all it has, as with a plain clone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from bakehouse.recipe.commit import Commit, GitFile
from bakehouse.recipe.git.command import FETCH_SECONDS, Git, GitFailed
from bakehouse.recipe.git.errors import NotInCommit, RepositoryMissing, commit_gone
from bakehouse.recipe.git.objects import Objects
from bakehouse.recipe.git.repository import Repository
from bakehouse.recipe.git.resolve import HASH, resolve

# a name that git fetch takes for a ref and for nothing else: no ~ ^ @{ + as in a revision
_PLAIN_NAME = re.compile(r"\w[\w./-]*")
_BRANCH_OR_TAG = re.compile(r"[0-9a-f]{40}\t\t(branch '|tag ')")
_NO_FILES = "--filter=blob:none"
_COMMITS_ONLY = "--filter=tree:0"
_QUIET = ("--quiet", "--no-tags", "--no-recurse-submodules")


class RemoteRepository(Repository):
    """Nothing is fetched before it is asked for."""

    def __init__(self, url: str, env: Mapping[str, str]) -> None:
        super().__init__(url)
        self._env = dict(env)
        self._temporary = TemporaryDirectory(prefix="bakehouse-git-")
        self._fetched: dict[str, Objects] = {}  # by commit: what was fetched for reading it
        self._with_files: set[str] = set()  # the commits among them whose files are here
        self._clones: dict[str, Objects] = {}  # by what is in them

    def close(self) -> None:
        self._temporary.cleanup()

    def read(self, sha: str, path: str) -> bytes:
        """One file alone is fetched when the rest of its commit is not here."""
        if sha in self._fetched:
            with suppress(NotInCommit):  # or the server gives no single files
                return self._fetched[sha].read(sha, path)
        return self._with_its_files(sha).read(sha, path)

    def files(self, sha: str, folder: str) -> dict[str, GitFile]:
        return self._with_its_files(sha).files(sha, folder)

    def _resolve(self, ref: str, not_after: datetime | None) -> Commit:
        found = self._newest(ref)
        if found is not None:
            sha, objects = found
            if HASH.fullmatch(ref) or not_after is None or objects.committed(sha) <= not_after:
                return self._seen(objects, sha, ref)
        objects = self._clone("history", _COMMITS_ONLY)
        return self._seen(objects, resolve(objects, ref, not_after), ref)

    def _seen(self, objects: Objects, sha: str, ref: str) -> Commit:
        self._fetched.setdefault(sha, objects)
        return objects.describe(sha, ref)

    def _newest(self, ref: str) -> tuple[str, Objects] | None:
        """The commit that a branch, tag or hash names now; None when only a clone can tell."""
        if not _PLAIN_NAME.fullmatch(ref):
            return None
        folder = self._empty("newest")
        git = Git(folder, self._env)
        try:
            git.text("fetch", *_QUIET, "--depth=1", _NO_FILES, "origin", ref, seconds=FETCH_SECONDS)
            told = (folder / "FETCH_HEAD").read_text(encoding="utf-8", errors="replace")
            named = ref == "HEAD" or HASH.fullmatch(ref) or _BRANCH_OR_TAG.match(told)
            sha = git.text("rev-parse", "--verify", "FETCH_HEAD^{commit}")
        except GitFailed:
            return None
        return (sha, Objects(git, self.name)) if named else None

    def _with_its_files(self, sha: str) -> Objects:
        """One commit with all its files. Raises RepositoryMissing, CommitGone."""
        if sha in self._with_files:
            return self._fetched[sha]
        git = Git(self._empty(sha), self._env)
        try:
            git.text("fetch", *_QUIET, "--depth=1", "origin", sha, seconds=FETCH_SECONDS)
            found = Objects(git, self.name)
        except GitFailed:  # a server that gives no hashes, or nothing shallow
            found = self._clone("everything")
        if not found.has(sha):
            raise commit_gone(sha, self.name)
        self._fetched[sha] = found
        self._with_files.add(sha)
        return found

    def _empty(self, name: str) -> Path:
        """A repository that knows where to fetch from; without anybody's templates and hooks."""
        folder = Path(self._temporary.name) / name
        git = Git(Path(self._temporary.name), self._env)
        git.text("init", "--quiet", "--bare", "--template=", str(folder))
        Git(folder, self._env).text("config", "remote.origin.url", self.name)
        return folder

    def _clone(self, name: str, *options: str) -> Objects:
        """All branches and tags. Raises RepositoryMissing."""
        if name in self._clones:
            return self._clones[name]
        outside = Git(Path(self._temporary.name), self._env)
        how = ("--bare", "--quiet", "--no-local", "--template=", *options)
        try:
            outside.text("clone", *how, "--", self.name, name, seconds=FETCH_SECONDS)
        except GitFailed as unreachable:
            raise RepositoryMissing(f"cannot fetch {self.name}: {unreachable}") from unreachable
        git = Git(Path(self._temporary.name) / name, self._env)
        self._clones[name] = Objects(git, self.name)
        return self._clones[name]
