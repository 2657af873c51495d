"""What an image was made with, as its statements name it. Pure."""

from __future__ import annotations

from fnmatch import fnmatchcase
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import quote

from bakehouse.images.statements import Material
from bakehouse.recipe.commit import shown
from bakehouse.updates.release import folder_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bakehouse.history.manifest import ReleaseFile, Source
    from bakehouse.recipe.commit import GitFile

LOCKS = ("*.lock", "*-lock.*", "*.sum", "*sums", "*sums.txt", "*.sha256", "*.sha512")
"""Names, in lower case, of files that pin what an install downloads."""


def locks(files: Mapping[str, GitFile]) -> tuple[Material, ...]:
    """The locks of artefacts among a recipe's files at its commit, by their path."""
    return tuple(
        Material(name=shown(path), sha256=sha256(files[path].data).hexdigest())
        for path in sorted(files)
        if _is_lock(path)
    )


def releases(
    files: Iterable[ReleaseFile], sources: Iterable[Source] | None
) -> tuple[Material, ...]:
    """The Release files of the archives, each with its URL where a source of the image has it."""
    urls = {apt_name(url): url for source in sources or () for url in _urls(source)}
    return tuple(
        Material(name=file.name, sha256=file.sha256, uri=urls.get(file.name, "")) for file in files
    )


def apt_name(url: str) -> str:
    """The name under which apt keeps what it has fetched from a URL.

    Source: apt's URItoFileName.
    """
    place = url.partition("://")[2].rpartition("@")[2]
    return quote(place, safe="/:~+-.%=,!$&'()*;").replace("_", "%5f").replace("/", "_")


def _urls(source: Source) -> Iterator[str]:
    for name in ("InRelease", "Release"):
        yield f"{folder_of(source).removesuffix('./')}{name}"


def _is_lock(path: str) -> bool:
    name = path.rpartition("/")[2].lower()
    return any(fnmatchcase(name, pattern) for pattern in LOCKS)
