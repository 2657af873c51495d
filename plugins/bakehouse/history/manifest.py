"""The packages of an image, as the builder tells them.

Base64 of gzip of lines "name TAB version TAB architecture".
"""

from __future__ import annotations

import binascii
import gzip
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple

TAB = "\t"
MOST_BYTES = 64 * 2**20  # unpacked: a guest is not trusted with the scheduler's memory


class BadManifest(ValueError):
    """What came is not a manifest; the message says in which way."""


class Package(NamedTuple):
    name: str
    version: str
    arch: str


def decode(text: str) -> tuple[Package, ...]:
    """Packages sorted by name and architecture. Raises BadManifest."""
    lines = _unpack(text).splitlines()
    return tuple(sorted(_package(number, line) for number, line in enumerate(lines, 1)))


def encode(packages: Iterable[Package]) -> str:
    """The same text for the same packages, whatever their order."""
    return b64encode(gzip.compress(_lines(packages), mtime=0)).decode("ascii")


def digest(packages: Iterable[Package]) -> str:
    """40 hex characters (they fit a label) that two images with the same packages share."""
    return sha256(_lines(packages)).hexdigest()[:40]


def _lines(packages: Iterable[Package]) -> bytes:
    return "".join(f"{TAB.join(package)}\n" for package in sorted(packages)).encode()


def _unpack(text: str) -> str:
    try:
        unpacker = zlib.decompressobj(wbits=31)
        data = unpacker.decompress(b64decode(text, validate=True), MOST_BYTES)
    except (binascii.Error, zlib.error, ValueError) as broken:
        raise BadManifest(f"not base64 of gzip: {broken}") from broken
    if not unpacker.eof:
        raise BadManifest("cut short, or unreasonably large")
    return data.decode("utf-8", "replace")


def _package(number: int, line: str) -> Package:
    fields = line.split("\t")
    if len(fields) != 3 or not all(fields):
        raise BadManifest(f"line {number} is not name, version, architecture: {line[:80]!r}")
    return Package(*fields)
