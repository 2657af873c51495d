"""Parse the Release file of a suite, which has the hashes of its indexes. Pure."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from bakehouse.history.manifest import Source

COMPRESSIONS = (".xz", ".gz", "")  # of an index, the best first


class Unreadable(Exception):
    """An index cannot be read, or must not be trusted; the message is the cause."""


class UpgradePolicy(Enum):
    """When apt upgrades to a suite's version by itself; see apt_preferences(5)."""

    ALWAYS = "always"
    WHEN_NOWHERE_ELSE = "when_nowhere_else"  # backports: only packages that came from there
    NEVER = "never"


class File(NamedTuple):
    """An entry of the Release file."""

    path: str  # below the suite's folder
    size: int
    sha256: str


class Release(NamedTuple):
    """The Release file of one suite."""

    names: tuple[str, ...]  # its label, suite and codename
    separate_all_index: bool  # whether architecture `all` has an index of its own
    policy: UpgradePolicy
    by_hash: bool
    valid_until: datetime | None
    files: Mapping[str, File]

    @property
    def security(self) -> bool:
        """Whether the suite contains security updates."""
        return any("security" in name.lower() for name in self.names)


def parse(data: bytes) -> Release:
    """Parse an InRelease (signed inline) or Release file. Raises Unreadable."""
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
        separate_all_index=apart and "all" in architectures,
        policy=_policy(fields),
        by_hash=fields.get("Acquire-By-Hash") == "yes",
        valid_until=valid_until,
        files={file.path.removeprefix("./"): file for file in files},
    )


def index_of(release: Release, source: Source, arch: str) -> File | None:
    """Return the best compressed index of an architecture; None if there is none.

    Raises Unreadable if the suite does not have the component.
    """
    folder = f"{source.component}/binary-{arch}/" if source.component else ""
    for compression in COMPRESSIONS:
        if found := release.files.get(f"{folder}Packages{compression}"):
            return found
    if not any(path.startswith(f"{source.component}/binary-") for path in release.files):
        raise Unreadable(f"has no component {source.component or '(unnamed)'}")
    return None


def folder_of(source: Source) -> str:
    """Return the URL of a suite, with a slash at its end; a suite that ends with one is flat."""
    uri = source.uri.rstrip("/")
    return f"{uri}/{source.suite}" if source.suite.endswith("/") else f"{uri}/dists/{source.suite}/"


def check_age(release: Release, now: datetime) -> None:
    """Raise Unreadable if the Release file has expired, since it may be held back on purpose."""
    if release.valid_until is not None and release.valid_until < now:
        raise Unreadable(f"expired at {release.valid_until:%Y-%m-%d %H:%M} UTC")


def _policy(fields: Mapping[str, object]) -> UpgradePolicy:
    if fields.get("NotAutomatic") != "yes":
        return UpgradePolicy.ALWAYS
    return (
        UpgradePolicy.WHEN_NOWHERE_ELSE
        if fields.get("ButAutomaticUpgrades") == "yes"
        else UpgradePolicy.NEVER
    )
