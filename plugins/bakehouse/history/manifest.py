"""What is in an image, as the builder reports it: packages, apt sources, facts of its files. Pure.

Base64 of gzip of lines. Fields are separated by tabs, and the first names the kind of line:

    bakehouse-manifest 2             the first line: the version of this format
    package NAME VERSION ARCH
    passed_over NAME VERSION         a version that its sources had, and that was not installed
    source URI SUITE COMPONENT       an apt source of the image; a flat one has no component
    release NAME SHA256              a Release file by which apt verified what was installed
    mirror LIST URL PURPOSE          a line of the mirror list that a source names as its URI
    os ID VERSION, kernel RELEASE, used BYTES, size BYTES
    enabled UNIT                     a service that systemd starts at boot
    started UNIT                     a service that is started once its config is rendered
    format NAME MIN MAX              a format of data, and the versions that the image can read
    booted EPOCH                     when the builder's kernel started, in seconds
    step NAME SECONDS                when a step of the bake began, after the kernel's start

Lines of an unknown kind, which later bake scripts may write, are ignored. Scripts of older commits
report packages only, as lines of NAME VERSION ARCH: version 1.
"""

from __future__ import annotations

import binascii
import re
import zlib
from base64 import b64decode
from collections import defaultdict
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from bakehouse.core.models import Frozen
from bakehouse.images.formats import FormatRange

if TYPE_CHECKING:
    from collections.abc import Iterable

TAB = "\t"
HEAD = "bakehouse-manifest"
VERSION = "2"
MAX_BYTES = 64 * 2**20  # unpacked: a guest is not trusted with the scheduler's memory
_SHAPE = {  # of a line: what its fields are, behind its kind
    "package": "name, version, architecture",
    "passed_over": "name, version",
    "source": "URI, suite, component",
    "release": "name, SHA-256",
    "mirror": "list, URL, purpose",
    "os": "id, version",
    "kernel": "release",
    "used": "bytes",
    "size": "bytes",
    "enabled": "unit",
    "started": "unit",
    "format": "name, least version, greatest version",
    "booted": "seconds",
    "step": "name, seconds",
}
_SECONDS = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,6})?", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_VERSION = re.compile(r"[0-9]{1,10}", re.ASCII)
_MAY_BE_EMPTY = {"source", "mirror", "os"}

Lines = dict[str, list[list[str]]]


class BadManifest(ValueError):
    """The text is not a manifest; the message says why."""


class Package(NamedTuple):
    """One installed Debian package."""

    name: str
    version: str
    arch: str


class PassedOver(NamedTuple):
    """A version that the image's sources had when it was baked, and that it does not have."""

    name: str
    version: str


class Source(NamedTuple):
    """One component of one suite, as apt reads it; a flat source has an empty component."""

    uri: str
    suite: str
    component: str


class ReleaseFile(NamedTuple):
    """A suite's Release or InRelease file on the builder, by the name that apt keeps it under."""

    name: str
    sha256: str


class Mirror(NamedTuple):
    """One line of a mirror list, which stands in the image; see updates/mirror_list.py."""

    of: str  # the URI of the sources that name the list
    url: str
    purpose: str  # such as `priority:1 type:index`


class Step(NamedTuple):
    """When a step of the bake began on the builder, in seconds after its kernel started."""

    name: str
    at: float


class FileFacts(Frozen):
    """What else is known of an image's disk; None where the builder did not report it."""

    os: tuple[str, str] = ("", "")  # as /etc/os-release has it: debian, 12
    kernel: str | None = None  # the release of the newest, which is the one that boots
    used_bytes: int | None = None  # of the root file system
    size_bytes: int | None = None
    enabled: tuple[str, ...] = ()
    started: tuple[str, ...] = ()
    formats: tuple[FormatRange, ...] = ()  # of data, that it can read; none: it says nothing of it


class Manifest(NamedTuple):
    """Everything that a builder reports of its disk; sorted, but for the mirrors of a list."""

    packages: tuple[Package, ...]
    sources: tuple[Source, ...] | None = None  # None: not reported
    passed_over: tuple[PassedOver, ...] = ()
    files: FileFacts = FileFacts()
    mirrors: tuple[Mirror, ...] = ()
    booted: float | None = None  # epoch seconds of the kernel's start
    steps: tuple[Step, ...] = ()  # in order; none in manifests of older scripts
    releases: tuple[ReleaseFile, ...] = ()  # none in manifests of older scripts


def decode(text: str) -> Manifest:
    """The manifest that a builder reported. Raises BadManifest."""
    lines = _unpack(text).splitlines()
    if lines and lines[0].split(TAB)[0] == HEAD:
        if lines[0] != f"{HEAD}\t{VERSION}":
            raise BadManifest(f"its version is unknown: {lines[0][:80]!r}")
        return _manifest(_by_kind(lines))
    return Manifest(parse_packages(lines))


def parse_packages(lines: Iterable[str]) -> tuple[Package, ...]:
    """The packages of lines "name TAB version TAB architecture", sorted. Raises BadManifest."""
    return tuple(sorted(Package(*_fields(n, "package", line)) for n, line in enumerate(lines, 1)))


def digest(packages: Iterable[Package]) -> str:
    """40 hex characters (they fit a label) that two images with the same packages share."""
    lines = "".join(f"{TAB.join(package)}\n" for package in sorted(packages))
    return sha256(lines.encode()).hexdigest()[:40]


def _by_kind(lines: Iterable[str]) -> Lines:
    found: Lines = defaultdict(list)
    for number, line in enumerate(lines, 1):
        kind, _, rest = line.partition(TAB)
        if kind in _SHAPE:
            found[kind].append(_fields(number, kind, rest))
    return found


def _manifest(lines: Lines) -> Manifest:
    return Manifest(
        packages=tuple(sorted(Package(*fields) for fields in lines["package"])),
        sources=tuple(sorted({Source(*fields) for fields in lines["source"]})),
        passed_over=tuple(sorted({PassedOver(*fields) for fields in lines["passed_over"]})),
        files=_files(lines),
        mirrors=tuple(dict.fromkeys(Mirror(*fields) for fields in lines["mirror"])),
        booted=_seconds(lines["booted"][-1][0]) if lines["booted"] else None,
        steps=tuple(Step(name, _seconds(text)) for name, text in lines["step"]),
        releases=tuple(sorted({_release(*fields) for fields in lines["release"]})),
    )


def _files(lines: Lines) -> FileFacts:
    os = lines["os"][-1] if lines["os"] else ["", ""]
    return FileFacts(
        os=(os[0], os[1]),
        kernel=lines["kernel"][-1][0] if lines["kernel"] else None,
        used_bytes=_bytes(lines["used"]),
        size_bytes=_bytes(lines["size"]),
        enabled=tuple(sorted({unit for (unit,) in lines["enabled"]})),
        started=tuple(sorted({unit for (unit,) in lines["started"]})),
        formats=tuple(sorted(_format(*fields) for fields in lines["format"])),
    )


def _format(name: str, least: str, greatest: str) -> FormatRange:
    for text in (least, greatest):
        if not _VERSION.fullmatch(text):
            raise BadManifest(f"not a version of the format {name}: {text[:80]!r}")
    return FormatRange(name, int(least), int(greatest))


def _release(name: str, digest: str) -> ReleaseFile:
    if not _SHA256.fullmatch(digest):
        raise BadManifest(f"not a SHA-256 of {name[:80]}: {digest[:80]!r}")
    return ReleaseFile(name, digest)


def _seconds(text: str) -> float:
    if not _SECONDS.fullmatch(text):
        raise BadManifest(f"not a number of seconds: {text[:80]!r}")
    return float(text)


def _bytes(lines: list[list[str]]) -> int | None:
    if not lines:
        return None
    text = lines[-1][0]
    if not (text.isascii() and text.isdigit()):
        raise BadManifest(f"not a number of bytes: {text[:80]!r}")
    return int(text)


def _fields(number: int, kind: str, text: str) -> list[str]:
    fields, shape = text.split(TAB), _SHAPE[kind].split(", ")
    if len(fields) != len(shape) or not (kind in _MAY_BE_EMPTY or all(fields)):
        raise BadManifest(f"line {number} is not {', '.join(shape)}: {text[:80]!r}")
    return fields


def _unpack(text: str) -> str:
    try:
        unpacker = zlib.decompressobj(wbits=31)
        data = unpacker.decompress(b64decode(text, validate=True), MAX_BYTES)
    except (binascii.Error, zlib.error, ValueError) as broken:
        raise BadManifest(f"not base64 of gzip: {broken}") from broken
    if not unpacker.eof:
        raise BadManifest("incomplete or too large")
    return data.decode("utf-8", "replace")
