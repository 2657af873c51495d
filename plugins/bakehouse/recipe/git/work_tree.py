"""What a commit of everything in a work tree would have; neither index nor objects change.

`bakehouse validate` reads it: of line ends, encodings, modes, links and ignored files git decides
here as it does for a commit.
"""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bakehouse.recipe.git.command import GitFailed
from bakehouse.recipe.git.errors import SourceError
from bakehouse.recipe.git.local import LocalRepository
from bakehouse.recipe.git.objects import Objects, entries_of, filters_in
from bakehouse.recipe.lfs import LargeFileMissing, Pointer
from bakehouse.recipe.snapshot import LINK, Entry, Snapshot

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

_INCLUDE = "include"
_NOT_OURS = {".git", ".venv", "__pycache__", "node_modules"}
_EXECUTABLE, _FILE = 0o100755, 0o100644


@contextmanager
def work_tree(include: Path, *, fetch: bool = True) -> Generator[Snapshot]:
    """Yield what a commit of a project would have, by the path of its include/.

    Of a folder without git, or one of another name, it is what lies there. Without `fetch` no
    server is asked: a file that Git LFS keeps elsewhere has its pointer for content.
    """
    with TemporaryDirectory(prefix="bakehouse-index-") as temporary:
        is_project = include.name == _INCLUDE
        staged = _staged(include.parent, Path(temporary), fetch) if is_project else None
        yield Snapshot(_Folder(include)) if staged is None else staged


def _staged(project: Path, temporary: Path, fetch: bool) -> Snapshot | None:
    """Return a snapshot by git; None for a folder of no repository, or one that git ignores."""
    try:
        with LocalRepository(str(project), {}) as repository:
            source = _Index(repository, project, temporary, fetch)
    except (SourceError, GitFailed):
        return None
    return Snapshot(source) if source.has_include else None


class _Index:
    """A copy of the index, to which everything below include/ is added."""

    def __init__(
        self, repository: LocalRepository, project: Path, temporary: Path, fetch: bool
    ) -> None:
        self._repository, self.name, self._fetch = repository, project.name, fetch
        git = repository.git
        self.prefix = git.text("rev-parse", "--show-prefix")
        real, objects = (
            project / git.text("rev-parse", "--git-path", name) for name in ("index", "objects")
        )
        index = temporary / "index"
        if real.is_file():
            shutil.copyfile(real, index)
        (temporary / "objects").mkdir()
        self._git = git.without_filters(
            {
                "GIT_INDEX_FILE": str(index),
                "GIT_OBJECT_DIRECTORY": str(temporary / "objects"),
                "GIT_ALTERNATE_OBJECT_DIRECTORIES": _quoted(objects.resolve()),
            },
            project / git.text("rev-parse", "--show-cdup"),
        )
        self._objects = Objects(self._git, self.name, self.prefix)
        self._names = self._added(f"{self.prefix}{_INCLUDE}")

    @property
    def has_include(self) -> bool:
        """Whether git knows any file below include/."""
        return any(path.startswith(f"{self.prefix}{_INCLUDE}/") for path in self._names)

    def tree(self, folder: str) -> Mapping[str, Entry]:
        if not folder:  # a link leaves include/: what it points to may be as new
            self._names = self._added(".")
        start = f"{folder}/" if folder else ""
        return {path: entry for path, entry in self._names.items() if path.startswith(start)}

    def _added(self, folder: str) -> dict[str, Entry]:
        self._git.bytes("add", "--all", "--sparse", "--", folder)
        return entries_of(self._git.bytes("ls-files", "--stage", "-z"), staged=True)

    def blobs(self, oids: Sequence[str]) -> list[bytes]:
        try:
            return self._objects.blobs(oids)
        except GitFailed as missing:
            raise SourceError(f"{self.name} lacks files of its commit: {missing}") from missing

    def filters(self, paths: Iterable[str]) -> Mapping[str, str]:
        return filters_in(self._git, paths)

    def large(self, pointer: Pointer) -> bytes:
        if self._fetch:
            return self._repository.large(pointer)
        return self._repository.stored(pointer) or pointer.text


class _Folder:
    """A project without git; its include/ may have another name."""

    prefix = ""

    def __init__(self, include: Path) -> None:
        self.name, self._include = include.parent.name, include

    def tree(self, folder: str) -> Mapping[str, Entry]:
        found = dict(_walk(self._include, f"{_INCLUDE}/"))
        return found if folder else {**dict(_walk(self._include.parent, "")), **found}

    def blobs(self, oids: Sequence[str]) -> list[bytes]:
        return [_read(Path(path)) for path in oids]

    def filters(self, paths: Iterable[str]) -> Mapping[str, str]:
        return dict.fromkeys(paths, "")

    def large(self, pointer: Pointer) -> bytes:
        raise LargeFileMissing(f"only its pointer of {len(pointer.text)} bytes is here")


def _walk(root: Path, prefix: str) -> Iterator[tuple[str, Entry]]:
    """Yield names with their place on this disk as the name of their content."""
    for where, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in _NOT_OURS]
        links = [name for name in folders if (Path(where) / name).is_symlink()]
        for name in (*files, *links):
            path = Path(where) / name
            if (mode := _mode(path)) is not None:
                yield f"{prefix}{path.relative_to(root).as_posix()}", Entry(mode, str(path))


def _mode(path: Path) -> int | None:
    """Return the mode as git has it; None for sockets and their like."""
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return LINK
    if not stat.S_ISREG(mode):
        return None
    return _EXECUTABLE if mode & stat.S_IXUSR else _FILE


def _read(path: Path) -> bytes:
    if path.is_symlink():
        # as it is: a Path would lose the / or . at its end
        return os.readlink(os.fsencode(path))  # ruff: ignore[os-readlink]
    return path.read_bytes()


def _quoted(path: Path) -> str:
    """Quote a path as git reads a list of folders, in which `:` separates."""
    text = str(path)
    if ":" not in text and not text.startswith('"'):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
