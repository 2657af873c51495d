"""The Java runtime and the jars of a lock (lines `sha256 path`), from Maven Central."""

from __future__ import annotations

import hashlib
import os
import shutil
import ssl
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = "https://repo1.maven.org/maven2"
PACKAGE = "openjdk-17-jre-headless"
SECONDS = 60.0  # without a byte
AT_ONCE = 8
TRIES = 3


class ArtefactError(RuntimeError):
    """What a lock names cannot be had; the message names all of it, and a remedy."""


@dataclass(frozen=True)
class Artefact:
    """One file of a Maven repository."""

    sha256: str
    path: str

    @property
    def name(self) -> str:
        """Of the file."""
        return PurePosixPath(self.path).name


def read_lock(lock: Path) -> list[Artefact]:
    """Its artefacts, in its order. Raises ArtefactError, with all lines that are none."""
    artefacts, wrong = [], []
    for number, line in enumerate(lock.read_text("utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match line.split():
            case [sha256, path] if len(sha256) == 64:
                artefacts.append(Artefact(sha256, path))
            case _:
                wrong.append(f"{lock}:{number}: {line!r} is not `sha256 path`")
    if wrong:
        raise ArtefactError("\n".join(wrong))
    return artefacts


def default_cache() -> Path:
    """`${XDG_CACHE_HOME:-~/.cache}/bakehouse/maven`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "bakehouse" / "maven"


def jars(lock: Path, cache: Path | None = None, repository: str = REPOSITORY) -> Path:
    """A folder with the jars of this lock and no others; each one's checksum is right.

    What the folder holds already is not believed: its checksums are computed every time.
    """
    artefacts = read_lock(lock)
    wanted = "\n".join(sorted(f"{one.sha256} {one.name}" for one in artefacts))
    key = hashlib.sha256(wanted.encode()).hexdigest()[:16]
    folder = (cache or default_cache()) / key
    folder.mkdir(parents=True, exist_ok=True)
    absent = [one for one in artefacts if checksum(folder / one.name) != one.sha256]

    def fetch(artefact: Artefact) -> str:
        return download(artefact, folder / artefact.name, repository)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        failed = [error for error in pool.map(fetch, absent) if error]
    if failed:
        raise ArtefactError("\n".join(failed))
    return folder


def checksum(file: Path) -> str:
    """Its SHA-256 in hex; empty for a file that is not there."""
    if not file.is_file():
        return ""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def download(artefact: Artefact, target: Path, repository: str) -> str:
    """Write it; returns what went wrong, empty when nothing did."""
    url = f"{repository}/{artefact.path}"
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    error = ""
    try:
        for _ in range(TRIES):
            try:
                context = ssl.create_default_context() if url.startswith("https:") else None
                with (
                    urllib.request.urlopen(url, timeout=SECONDS, context=context) as response,
                    part.open("wb") as file,
                ):
                    shutil.copyfileobj(response, file)
            except OSError as failure:
                error = f"{url}: {failure}; check the network, then run this again"
                continue
            if (found := checksum(part)) == artefact.sha256:
                part.replace(target)
                return ""
            error = f"{url}: its checksum is {found}, the lock says {artefact.sha256}"
            return f"{error}; something between here and the repository changes files"
        return error
    finally:
        part.unlink(missing_ok=True)


def java(find: Callable[[str], str | None] = shutil.which) -> str | None:
    """The program `java` of Debian's package, or the one on the PATH; None if there is neither."""
    debian = sorted(Path("/usr/lib/jvm").glob("java-17-openjdk-*/bin/java"))
    return str(debian[0]) if debian else find("java")
