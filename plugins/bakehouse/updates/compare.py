"""Compare an image's packages with the current indexes of its sources. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bakehouse.core.models import Frozen
from bakehouse.core.reasons import Reason
from bakehouse.history.diff import abbreviate
from bakehouse.history.versions import newer, newest
from bakehouse.updates.release import UpgradePolicy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bakehouse.history.manifest import Manifest, Package, Source
    from bakehouse.updates.index import Versions

ALL = "all"


class Listing(NamedTuple):
    """The content of one index."""

    source: Source
    arch: str  # `all`: its packages are for every architecture
    security: bool
    policy: UpgradePolicy
    versions: Versions


class Update(Frozen):
    """A version that is newer than all that the sources had when the image was baked."""

    name: str
    arch: str
    installed: str
    available: str
    suite: str
    security: bool

    def __str__(self) -> str:
        """The line for logs."""
        mark = ", security" if self.security else ""
        return f"{self.name} {self.installed} -> {self.available} ({self.suite}{mark})"


class Updates(Frozen):
    """The updates of one image."""

    image: str
    found: tuple[Update, ...] = ()  # security updates first, by name
    unread: tuple[str, ...] = ()  # indexes that could not be read, with the cause
    indexes: int = 0  # number of indexes that were read

    @property
    def reason(self) -> Reason | None:
        """Why the image must be baked again; None if it need not be."""
        if any(update.security for update in self.found):
            return Reason.SECURITY_UPDATES
        if self.found:
            return Reason.PACKAGE_UPDATES
        return Reason.UPDATES_UNKNOWN if self.unread else None

    def in_words(self) -> str:
        """Return counts and some names, in one line."""
        security = [update.name for update in self.found if update.security]
        others = [update.name for update in self.found if not update.security]
        parts = [
            f"{counted(len(names), what)} ({abbreviate(names)})"
            for what, names in (("security update", security), ("other update", others))
            if names
        ]
        unread = [f"cannot read {cause}" for cause in self.unread]
        return "; ".join([*parts, *unread]) or f"no updates in {counted(self.indexes, 'index')}"


def counted(number: int, what: str) -> str:
    """Return `1 index` or `2 indexes`."""
    ending = "es" if what.endswith("x") else "s"
    return f"{number} {what}{ending if number != 1 else ''}"


def updates_in(manifest: Manifest, listings: Sequence[Listing]) -> tuple[Update, ...]:
    """Return the upgrades of apt that were not available when the image was baked."""
    known: dict[str, set[str]] = {}
    for passed in manifest.passed_over:
        known.setdefault(passed.name, set()).add(passed.version)
    native = native_arch(manifest.packages)
    found = [
        update
        for package in manifest.packages
        if (update := _update(package, native, known.get(package.name, set()), listings))
    ]
    return tuple(sorted(found, key=lambda update: (not update.security, update.name)))


def native_arch(packages: Iterable[Package]) -> str:
    """Return the most frequent architecture; an empty text without packages."""
    counts: dict[str, int] = {}
    for package in packages:
        if package.arch != ALL:
            counts[package.arch] = counts.get(package.arch, 0) + 1
    return max(counts, key=lambda arch: counts[arch], default="")


def _update(
    package: Package, native: str, passed_over: set[str], listings: Sequence[Listing]
) -> Update | None:
    arch = native if package.arch == ALL else package.arch
    offered = list(_offered(package, arch, listings))
    if not offered:
        return None
    version = newest({version for _, version in offered})
    if not newer(version, newest({package.version, *passed_over})):
        return None
    source = next(listing.source for listing, offer in offered if offer == version)
    return Update(
        name=package.name,
        arch=package.arch,
        installed=package.version,
        available=version,
        suite=source.suite,
        security=any(
            listing.security and newer(offer, package.version) for listing, offer in offered
        ),
    )


def _offered(
    package: Package, arch: str, listings: Sequence[Listing]
) -> Iterator[tuple[Listing, str]]:
    """Yield the versions that apt considers; backports only for a package that is a backport."""
    has = [
        (listing, listing.versions[package.name])
        for listing in listings
        if listing.arch in {arch, ALL} and package.name in listing.versions
    ]
    always = [
        (listing, version) for listing, version in has if listing.policy is UpgradePolicy.ALWAYS
    ]
    yield from always
    if all(newer(package.version, version) for _, version in always):
        yield from ((li, v) for li, v in has if li.policy is UpgradePolicy.WHEN_NOWHERE_ELSE)
