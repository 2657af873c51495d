"""Collect the files of a recipe from a snapshot, with all that cannot be baked. Pure.

A link that stays inside the recipe's folder remains a link. A link to a file or folder beside it is
replaced by what it means, as a shell in the work tree would read it. Whatever cannot reach a
builder is a mistake with its path.
"""

from __future__ import annotations

import os
import posixpath
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bakehouse.core.nearest import nearest
from bakehouse.recipe.commit import GUEST, SCRIPTS, GitFile, shown
from bakehouse.recipe.install_parts import is_part
from bakehouse.recipe.lfs import LargeFileMissing, pointer_in
from bakehouse.recipe.mistakes import Mistake
from bakehouse.recipe.snapshot import LINK, MOST_LINKS, SUBMODULE, Entry, LinkProblem
from bakehouse.recipe.templates import SCRIPT, TEMPLATES, references
from bakehouse.recipe.unread import READ

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from bakehouse.recipe.snapshot import Snapshot

# read by Bakehouse under these names, here or in the guest
_MOST_FILES = 10_000  # of one folder; links to folders with links could go on for ever
_LONGEST_NAME, _LONGEST_PATH = 255, 3500  # bytes, on the builder's file system
_LFS = "lfs"
_GIT_CRYPT = b"\0GITCRYPT\0"
_COMMIT_IT = "Commit the file itself"


@dataclass
class Collected:
    """Files by their path below SCRIPTS, and what is wrong with those that are not among them."""

    files: dict[str, GitFile] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)


def collect(snapshot: Snapshot, folder: str) -> Collected:
    """Collect the files of a recipe's folder, and the other folders that its templates include.

    Raises Unreachable if the server of Git LFS does not answer.
    """
    found = Collected()
    try:
        top = snapshot.resolve(f"{snapshot.prefix}{SCRIPTS}").path
        names = _names_in(snapshot, top)
    except LinkProblem:
        return found
    own = {GUEST, folder, *(name for name in names if name.endswith(".j2"))}
    for name in sorted(own & names):
        one = _Folder(snapshot, top, name, found)
        one.walk(always_content=name != folder)
        found.files.update(one.read(large=True))
    _add_included(snapshot, top, names - own, found)
    return found


def orphans(snapshot: Snapshot, known: Collection[str]) -> list[Mistake]:
    """Find folders below SCRIPTS that no recipe has, no script includes and no link leads to.

    Args:
        snapshot: The work tree.
        known: The folders of all recipes.
    """
    try:
        top = snapshot.resolve(f"{snapshot.prefix}{SCRIPTS}").path
    except LinkProblem:
        return []
    below = snapshot.below(top)
    folders = {path.partition("/")[0] for path in below if "/" in path} - {GUEST, *known}
    used = set[str]()
    if folders:
        names = [path for path, entry in below.items() if entry.is_file and path.endswith(".j2")]
        texts = snapshot.source.blobs([below[name].oid for name in names])
        for text in texts:
            used.update(one.partition("/")[0] for one in references(_text(text)) if one)
        for path, entry in below.items():
            if entry.mode == LINK:
                with suppress(LinkProblem):
                    meant = snapshot.resolve(f"{top}/{path}").path
                    used.add(meant.removeprefix(f"{top}/").partition("/")[0])
    return [
        Mistake(
            f"{SCRIPTS}/{shown(name)}",
            1,
            "the folder",
            "",
            "belongs to no recipe, and no script includes a file of it",
            _write_or_remove(name, known),
        )
        for name in sorted(folders - used)
    ]


def _write_or_remove(name: str, known: Collection[str]) -> str:
    near = nearest(name, sorted(known))
    remedy = f"Write include/recipes/{shown(name)}.yaml, or remove the folder"
    return f"{remedy}; did you mean the folder {near}?" if near else remedy


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _add_included(snapshot: Snapshot, top: str, beside: set[str], found: Collected) -> None:
    """Add those of the names `beside` that a script includes a file of."""
    seen, waiting = set[str](), [path for path in found.files if path.endswith(SCRIPT)]
    while waiting:
        path = waiting.pop()
        name = path.partition("/")[0]
        if name in beside:
            beside.remove(name)
            other = _Folder(snapshot, top, name, Collected(), linked_folders=False)
            other.walk(always_content=True)
            found.files.update(other.read(large=False))
        if path not in seen and path in found.files:
            seen.add(path)
            text = content_of(found.files, path).decode("utf-8", "replace")
            waiting += (one for one in references(text) if one)


def _names_in(snapshot: Snapshot, top: str) -> set[str]:
    return {path.partition("/")[0] for path in snapshot.below(top)}


class _Folder:
    """One name below SCRIPTS: a folder with its files, or a file."""

    def __init__(
        self,
        snapshot: Snapshot,
        top: str,
        name: str,
        into: Collected,
        *,
        linked_folders: bool = True,
    ) -> None:
        self._linked_folders = linked_folders
        self._snapshot, self._top, self._name = snapshot, top, name
        self._mistakes = into.mistakes
        self._found: dict[str, tuple[Entry, str]] = {}  # and the path from the repository's top
        self._visited = 0

    def walk(self, *, always_content: bool) -> None:
        path = f"{self._top}/{self._name}"
        entry = self._snapshot.entry(path)
        if entry is not None and entry.is_file:
            self._found[self._name] = entry, path
            return
        try:
            root = self._snapshot.resolve(path).path
        except LinkProblem as problem:
            self._wrong(self._name, f"is a link and {problem}", _COMMIT_IT)
            return
        self._add(self._name, root, root, (root,), always_content=always_content)
        if self._visited > _MOST_FILES:
            many = f"has more than {_MOST_FILES:,} files, with those that links mean"
            self._wrong(self._name, many, "Let install.sh download what is big")

    def read(self, *, large: bool) -> dict[str, GitFile]:
        """Read all contents; `large`: also of the files that Git LFS keeps."""
        entries = [entry for entry, _ in self._found.values()]
        blobs = self._snapshot.source.blobs([entry.oid for entry in entries]) if entries else []
        files = dict[str, GitFile]()
        filters = self._filters() if large else {}
        for (path, (entry, real)), data in zip(self._found.items(), blobs, strict=True):
            if entry.is_file and large and not self._is_stored_as_it_is(path, data, filters[real]):
                continue
            content = self._content(path, data) if entry.is_file and large else data
            if content is not None:
                files[path] = GitFile(entry.mode, content)
        return files

    def _add(
        self, to: str, real: str, root: str, inside: tuple[str, ...], *, always_content: bool
    ) -> None:
        """Add a file, or everything below a folder, under the path `to`."""
        entry = self._snapshot.entry(real)
        if entry is not None:
            self._found[to] = entry, real
            return
        for name, one in sorted(self._snapshot.below(real).items()):
            path, where = f"{to}/{name}", f"{real}/{name}"
            self._visited += 1
            if self._visited > _MOST_FILES:
                return  # `walk` has it told
            if problem := _bad_name(name):
                self._wrong(path, problem, "Rename it")
            elif one.mode == SUBMODULE:
                remedy = "Commit its files, or let install.sh clone it"
                self._wrong(path, "is a submodule, whose files are not in the commit", remedy)
            elif one.mode == LINK:
                self._link(path, where, root, inside, always_content=always_content)
            else:
                self._found[path] = one, where

    def _link(
        self, path: str, where: str, root: str, inside: tuple[str, ...], *, always_content: bool
    ) -> None:
        own = path.partition("/")[2]
        is_template = own.startswith(TEMPLATES)
        stay = f"{root}/{TEMPLATES.rstrip('/')}" if is_template else root
        try:
            meant, stayed = self._snapshot.resolve(where, stay)
        except LinkProblem as problem:
            if problem.absolute and not _is_read(own):
                self._found[path] = self._as_link(where)
                return
            self._wrong(path, f"is a link and {problem}", _remedy(problem))
            return
        rendered = any(name.endswith(".j2") for name in (path, meant))
        # what Bakehouse reads by its name may not lie there on the builder
        stayed = stayed and meant.removeprefix(f"{root}/") not in READ
        if stayed and not always_content and not _is_read(own) and not (is_template and rendered):
            self._found[path] = self._as_link(where)
        elif self._snapshot.entry(meant) is None and not self._linked_folders:
            return
        elif self._snapshot.entry(meant) is None and (
            meant in inside or f"{where}/".startswith(f"{meant}/" if meant else "")
        ):
            self._wrong(
                path, f"is a link to {shown(meant) or 'the top'}, which contains it", _COMMIT_IT
            )
        else:
            self._add(path, meant, meant, (*inside, meant), always_content=True)

    def _as_link(self, where: str) -> tuple[Entry, str]:
        entry = self._snapshot.entry(where)
        if entry is None:  # no caller asks for a name that is not there
            raise LookupError(where)
        return entry, where

    def _filters(self) -> Mapping[str, str]:
        paths = [real for entry, real in self._found.values() if entry.is_file]
        found = self._snapshot.source.filters(paths) if paths else {}
        return {path: found.get(path, "") for path in paths}

    def _is_stored_as_it_is(self, path: str, data: bytes, filter_: str) -> bool:
        """Whether the commit has what the work tree shows."""
        if data.startswith(_GIT_CRYPT):
            problem = "is encrypted by git-crypt: the image would get the encrypted form"
            self._wrong(path, problem, "Fetch secrets when the instance boots")
        elif filter_ not in {"", _LFS}:
            problem = f"has the git attribute filter={filter_}: a bake runs no filters"
            self._wrong(path, problem, "Take it out of .gitattributes: `PATH -filter`")
        else:
            return True
        return False

    def _content(self, path: str, data: bytes) -> bytes | None:
        pointer = pointer_in(data)
        if pointer is None:
            return data
        try:
            return self._snapshot.source.large(pointer)
        except LargeFileMissing as missing:
            problem = f"is kept in Git LFS ({pointer.size:,} bytes), and {missing}"
            remedy = "Install git-lfs and push its objects, or let install.sh download the file"
            self._wrong(path, problem, remedy)
            return None

    def _wrong(self, path: str, problem: str, remedy: str) -> None:
        self._mistakes.append(Mistake(shown(f"{SCRIPTS}/{path}"), 1, "", "", problem, remedy))


def content_of(files: Mapping[str, GitFile], path: str) -> bytes:
    """Return the content of a file, or of the one that a link inside the folder means."""
    file = files[path]
    for _ in range(MOST_LINKS):
        if file.mode != LINK:
            return file.data
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), os.fsdecode(file.data)))
        if path not in files:
            return b""
        file = files[path]
    return b""


def _is_read(path: str) -> bool:
    return path in READ or (path.endswith(".j2") and "/" not in path) or is_part(path)


def _remedy(problem: LinkProblem) -> str:
    if problem.absolute or "does not exist" not in str(problem):
        return _COMMIT_IT
    return "Commit what it points to; a path on the builder must be absolute"


def _bad_name(path: str) -> str:
    """Return the problem of a path that the builder cannot unpack."""
    parts = path.split("/")
    if any(part in {"", ".", ".."} or part.lower() == ".git" for part in parts):
        return "has a name that no work tree can have"
    if any(len(os.fsencode(part)) > _LONGEST_NAME for part in parts):
        return f"has a name of more than {_LONGEST_NAME} bytes"
    if len(os.fsencode(path)) > _LONGEST_PATH:
        return f"has a path of more than {_LONGEST_PATH:,} bytes"
    return ""


def lacking(files: Iterable[str], folder: str) -> bool:
    """Whether no file lies in the folder."""
    return not any(path.startswith(f"{folder}/") for path in files)
