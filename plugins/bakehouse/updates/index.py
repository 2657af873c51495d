"""A package index: the newest version of each package, from apt's form and in a small one. Pure."""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Protocol

from bakehouse.history.versions import newest
from bakehouse.updates.release import File, Unreadable

MOST_UNPACKED = 1 << 29  # bytes; Debian's biggest has 50 million
CHUNK = 1 << 20

Versions = Mapping[str, str]


class _Unpacker(Protocol):
    """What lzma and zlib have in common, but for the end."""

    @property
    def eof(self) -> bool: ...


def versions_of(packed: bytes, file: File) -> Versions:
    """Package -> newest version, of an index as it came. Raises Unreadable for any other file."""
    if len(packed) != file.size or sha256(packed).hexdigest() != file.sha256:
        raise Unreadable("is not the file that the Release file names: size or SHA256 differ")
    found: dict[str, str] = {}
    name = ""
    for line in _lines(_unpacked(packed, PurePosixPath(file.path).suffix)):
        if line.startswith(b"Package: "):
            name = line[9:].decode("utf-8", "replace").strip()
        elif line.startswith(b"Version: ") and name:
            version = line[9:].decode("utf-8", "replace").strip()
            found[name] = newest({version, found[name]}) if name in found else version
            name = ""
    return found


def to_bytes(versions: Versions) -> bytes:
    """The small form, for the cache: gzip of lines "name TAB version"."""
    lines = "".join(f"{name}\t{version}\n" for name, version in sorted(versions.items()))
    return gzip.compress(lines.encode(), compresslevel=6, mtime=0)


def from_bytes(data: bytes) -> Versions:
    """Raises ValueError for anything else, also for one that was written by half."""
    try:
        lines = gzip.decompress(data).decode().splitlines()
    except (OSError, EOFError, zlib.error) as broken:
        raise ValueError(f"not a cached index: {broken}") from broken
    return dict(_pair(line) for line in lines)


def _pair(line: str) -> tuple[str, str]:
    name, version = line.split("\t")
    return name, version


def _unpacked(packed: bytes, packing: str) -> Iterator[bytes]:
    chunks = (packed[at : at + CHUNK] for at in range(0, len(packed), CHUNK))
    if packing == ".xz":
        yield from _bounded(_xz(chunks))
    elif packing == ".gz":
        yield from _bounded(_gz(chunks))
    else:
        yield from chunks


def _xz(chunks: Iterable[bytes]) -> Iterator[bytes]:
    unpacker = lzma.LZMADecompressor(memlimit=1 << 28)
    try:
        for chunk in chunks:
            data = unpacker.decompress(chunk, CHUNK)
            while data:
                yield data
                data = b"" if unpacker.needs_input else unpacker.decompress(b"", CHUNK)
    except (lzma.LZMAError, EOFError) as broken:
        raise Unreadable(f"is not xz: {broken}") from broken
    _whole(unpacker)


def _gz(chunks: Iterable[bytes]) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        for chunk in chunks:
            data = unpacker.decompress(chunk, CHUNK)
            while data:
                yield data
                rest = unpacker.unconsumed_tail
                data = unpacker.decompress(rest, CHUNK) if rest else b""
    except zlib.error as broken:
        raise Unreadable(f"is not gzip: {broken}") from broken
    _whole(unpacker)


def _whole(unpacker: _Unpacker) -> None:
    if not unpacker.eof:
        raise Unreadable("ends in the middle")


def _bounded(chunks: Iterable[bytes]) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > MOST_UNPACKED:
            raise Unreadable(f"is unpacked larger than {MOST_UNPACKED} bytes")
        yield chunk


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    yield rest
