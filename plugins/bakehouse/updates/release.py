"""The Release file of a suite: what it is, and which index has which hash. Pure."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from bakehouse.history.manifest import Source

PACKINGS = (".xz", ".gz", "")  # of an index, the smallest first


class Unreadable(Exception):
    """An index that cannot be read, or must not be believed; the message is the cause."""


class Taken(Enum):
    """When apt installs a suite's newer version by itself; its man page says more."""

    ALWAYS = "always"
    WHEN_NOWHERE_ELSE = "when_nowhere_else"  # a backport, of a package that came from there
    NEVER = "never"


class File(NamedTuple):
    """One that the Release file vouches for."""

    path: str  # below the suite's folder
    size: int
    sha256: str


class Release(NamedTuple):
    """Of one suite."""

    names: tuple[str, ...]  # its label, suite and codename, as far as it has them
    all_apart: bool  # whether what is for all architectures has an index of its own
    taken: Taken
    by_hash: bool
    valid_until: datetime | None
    files: Mapping[str, File]

    @property
    def security(self) -> bool:
        """It holds what Debian's (or Ubuntu's) security team has released."""
        return any("security" in name.lower() for name in self.names)


def parse(data: bytes) -> Release:
    """An InRelease (signed inline) or Release file. Raises Unreadable."""
    from debian.deb822 import Release as Fields

    try:
        fields = Fields(data)
        listed = fields.get("SHA256") or []
        files = [File(str(one["name"]), int(one["size"]), str(one["sha256"])) for one in listed]
        until = fields.get("Valid-Until")
        valid_until = parsedate_to_datetime(str(until)) if until else None
    except (ValueError, KeyError, TypeError) as broken:
        raise Unreadable(f"not a Release file: {broken}") from broken
    if not files:
        raise Unreadable("not a Release file with SHA256 hashes")
    architectures = frozenset(str(fields.get("Architectures", "")).split())
    apart = fields.get("No-Support-for-Architecture-all") != "Packages"
    return Release(
        names=tuple(str(fields[key]) for key in ("Label", "Suite", "Codename") if key in fields),
        all_apart=apart and "all" in architectures,
        taken=_taken(fields),
        by_hash=fields.get("Acquire-By-Hash") == "yes",
        valid_until=valid_until,
        files={file.path.removeprefix("./"): file for file in files},
    )


def index_of(release: Release, source: Source, arch: str) -> File | None:
    """The smallest packing of the index of an architecture; None where there is none.

    Raises Unreadable when the suite does not have the component at all.
    """
    folder = f"{source.component}/binary-{arch}/" if source.component else ""
    for packing in PACKINGS:
        if found := release.files.get(f"{folder}Packages{packing}"):
            return found
    if not any(path.startswith(f"{source.component}/binary-") for path in release.files):
        raise Unreadable(f"has no component {source.component or 'without a name'}")
    return None


def folder_of(source: Source) -> str:
    """The URL of a suite, with a slash at its end; one whose suite ends with a slash is flat."""
    uri = source.uri.rstrip("/")
    return f"{uri}/{source.suite}" if source.suite.endswith("/") else f"{uri}/dists/{source.suite}/"


def check_age(release: Release, now: datetime) -> None:
    """Raises Unreadable when it is past the date that it names itself: somebody holds it back."""
    if release.valid_until is not None and release.valid_until < now:
        raise Unreadable(f"has expired at {release.valid_until:%Y-%m-%d %H:%M} UTC")


def _taken(fields: Mapping[str, object]) -> Taken:
    if fields.get("NotAutomatic") != "yes":
        return Taken.ALWAYS
    return Taken.WHEN_NOWHERE_ELSE if fields.get("ButAutomaticUpgrades") == "yes" else Taken.NEVER
