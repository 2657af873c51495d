"""Parse package indexes: the newest version of each package. Pure."""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from io import BufferedIOBase, BytesIO
from pathlib import PurePosixPath

from bakehouse.history.versions import newest
from bakehouse.updates.release import File, Unreadable

MAX_UNPACKED_BYTES = 1 << 29  # the largest index of Debian has 50 million
CHUNK = 1 << 20

Versions = Mapping[str, str]


def versions_of(packed: bytes, file: File) -> Versions:
    """Parse an index into package and newest version. Raises Unreadable for any other file."""
    if len(packed) != file.size or sha256(packed).hexdigest() != file.sha256:
        raise Unreadable("differs in size or SHA256 from its entry in the Release file")
    found: dict[str, str] = {}
    name = ""
    for line in _lines(_decompressed(packed, PurePosixPath(file.path).suffix)):
        if line.startswith(b"Package: "):
            name = line[9:].decode("utf-8", "replace").strip()
        elif line.startswith(b"Version: ") and name:
            version = line[9:].decode("utf-8", "replace").strip()
            found[name] = newest({version, found[name]}) if name in found else version
            name = ""
    return found


def to_bytes(versions: Versions) -> bytes:
    """Return the form for the cache: gzip of lines "name TAB version"."""
    lines = "".join(f"{name}\t{version}\n" for name, version in sorted(versions.items()))
    return gzip.compress(lines.encode(), compresslevel=6, mtime=0)


def from_bytes(data: bytes) -> Versions:
    """Read the form of the cache. Raises ValueError for anything else, also if it is incomplete."""
    if not data:
        raise ValueError("not a cached index: empty")  # gzip accepts it
    try:
        lines = gzip.decompress(data).decode().splitlines()
    except (OSError, EOFError, zlib.error) as broken:
        raise ValueError(f"not a cached index: {broken}") from broken
    return dict(_pair(line) for line in lines)


def _pair(line: str) -> tuple[str, str]:
    name, version = line.split("\t")
    return name, version


def _decompressed(packed: bytes, packing: str) -> Iterator[bytes]:
    """Decompress in pieces, with a limit for the whole."""
    total = 0
    with _opened(packed, packing) as unpacked:
        while piece := _piece(unpacked):
            total += len(piece)
            if total > MAX_UNPACKED_BYTES:
                raise Unreadable(f"has more than {MAX_UNPACKED_BYTES} bytes when decompressed")
            yield piece


def _opened(packed: bytes, packing: str) -> BufferedIOBase:
    source = BytesIO(packed)
    if packing == ".xz":
        return lzma.open(source)
    return gzip.open(source) if packing == ".gz" else source


def _piece(unpacked: BufferedIOBase) -> bytes:
    try:
        return unpacked.read(CHUNK)
    except (lzma.LZMAError, zlib.error, EOFError, OSError) as broken:
        raise Unreadable(f"cannot be decompressed: {broken}") from broken


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    yield rest
