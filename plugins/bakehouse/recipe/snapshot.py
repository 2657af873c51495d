"""The names of a repository or folder at one moment, and what its links mean. Pure.

Paths begin at the top of the repository: a link of a recipe may point to a file beside the project.
"""

from __future__ import annotations

import posixpath
import stat
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bakehouse.recipe.lfs import Pointer

SUBMODULE, LINK = 0o160000, 0o120000
MOST_LINKS = 40  # as Linux follows
_INCLUDE = "include"


class Entry(NamedTuple):
    """A name in a tree: a file, a link or a submodule; `oid` names its content."""

    mode: int
    oid: str

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file, executable or not."""
        return stat.S_ISREG(self.mode)


class Source(Protocol):
    """Where a snapshot reads names and contents."""

    name: str  # for messages
    prefix: str  # the project's folder from the top; empty or ends in /

    def tree(self, folder: str) -> Mapping[str, Entry]:
        """Return everything below a folder, by path from the top."""

    def blobs(self, oids: Sequence[str]) -> list[bytes]:
        """Read contents."""

    def filters(self, paths: Iterable[str]) -> Mapping[str, str]:
        """Return the git filter of those paths that have one."""

    def large(self, pointer: Pointer) -> bytes:
        """Return what a pointer of Git LFS stands for. Raises LargeFileMissing, Unreachable."""


class LinkProblem(ValueError):
    """A link, or a path with links, that means no file; the message completes `it …`."""

    def __init__(self, problem: str, target: str = "") -> None:
        """Keep the target of an absolute link."""
        super().__init__(problem)
        self.absolute = target


class Meant(NamedTuple):
    """What a path means once its links are followed.

    `stayed`: no link on the way has left the folder that was given.
    """

    path: str
    stayed: bool


class Snapshot:
    """Names and contents; the whole repository is listed only if a link leaves include/."""

    def __init__(self, source: Source) -> None:
        """List the project's include/."""
        self.source = source
        self.prefix = source.prefix
        self._root = f"{source.prefix}{_INCLUDE}"
        self._below: dict[str, dict[str, Entry]] = {}
        self._names = dict(source.tree(self._root))
        self._whole = not self._names
        if self._whole:
            self._names = dict(source.tree(""))
        self._links = self._read_links()
        self._folders = _folders(self._names)

    def entry(self, path: str) -> Entry | None:
        """Return the file, link or submodule at a path; None for a folder and for nothing."""
        self._need(path)
        return self._names.get(path)

    def is_folder(self, path: str) -> bool:
        """Whether there is something below the path."""
        self._need(path)
        return path in self._folders or not path

    def below(self, folder: str) -> dict[str, Entry]:
        """Return everything below a folder, by path relative to it."""
        self._need(folder)
        if folder not in self._below:
            start = f"{folder}/" if folder else ""
            found = {p[len(start) :]: e for p, e in self._names.items() if p.startswith(start)}
            self._below[folder] = found
        return self._below[folder]

    def target(self, path: str) -> str:
        """Return the text of a link."""
        self._need(path)
        return self._links[path]

    def resolve(self, path: str, inside: str = "") -> Meant:
        """Follow all links of a path. Raises LinkProblem."""
        done, stayed, links = list[str](), True, 0
        todo = path.split("/")[::-1]
        while todo:
            part = todo.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                if not done:
                    raise LinkProblem(f"leads out of {self.source.name}")
                done.pop()
            else:
                here = "/".join([*done, part])
                entry = self.entry(here)
                if entry is not None and entry.mode == LINK:
                    links += 1
                    todo += self._follow(here, links)
                    stayed = stayed and (links == 1 or _is_below("/".join(done), inside))
                    continue
                self._must_exist(here, entry, todo)
                done.append(part)
            stayed = stayed and (not links or _is_below("/".join(done), inside))
        return Meant("/".join(done), stayed)

    def _follow(self, link: str, links: int) -> list[str]:
        target = self.target(link)
        if links > MOST_LINKS:
            raise LinkProblem("leads back to itself")
        if not target:
            raise LinkProblem("has no target")
        if target.startswith("/"):
            raise LinkProblem(f"leads to {target}, which is a path of no commit", target)
        return target.split("/")[::-1]

    def _must_exist(self, here: str, entry: Entry | None, todo: list[str]) -> None:
        if entry is not None and entry.mode == SUBMODULE:
            raise LinkProblem(f"leads into the submodule {here}")
        is_folder = entry is None and self.is_folder(here)
        if not is_folder and (entry is None or todo):  # also FILE/ and FILE/.
            raise LinkProblem(f"leads to {here}, which does not exist")

    def _need(self, path: str) -> None:
        if self._whole or path == self._root or path.startswith(f"{self._root}/"):
            return
        self._whole = True
        self._below = {}
        self._names = {**self.source.tree(""), **self._names}
        self._links = self._read_links()
        self._folders = _folders(self._names)

    def _read_links(self) -> dict[str, str]:
        links = {path: entry.oid for path, entry in self._names.items() if entry.mode == LINK}
        texts = self.source.blobs(list(links.values())) if links else []
        decoded = (text.decode("utf-8", "surrogateescape") for text in texts)
        return dict(zip(links, decoded, strict=True))


def _folders(names: Iterable[str]) -> set[str]:
    found = set[str]()
    for name in names:
        folder = posixpath.dirname(name)
        while folder and folder not in found:
            found.add(folder)
            folder = posixpath.dirname(folder)
    return found


def _is_below(path: str, folder: str) -> bool:
    return not folder or path == folder or path.startswith(f"{folder}/")
