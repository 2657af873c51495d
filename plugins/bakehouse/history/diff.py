"""The difference between two images: as data, as a report, and in one line. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import computed_field

from bakehouse.core.models import Frozen
from bakehouse.history.versions import newer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bakehouse.history.manifest import FileFacts, Manifest, Package

MAX_NAMES = 8  # of each kind, in a summary


class PackageVersion(Frozen):
    """A package that only one of the two has."""

    name: str
    arch: str
    version: str


class VersionChange(Frozen):
    """A package that both have, in different versions."""

    name: str
    arch: str
    old: str
    new: str
    security: bool = False
    """A look at the archives has called a version up to the new one a security update."""


class FileChanges(Frozen):
    """What differs in the files: pairs of the old and the new image; None where it is unknown."""

    kernel: tuple[str | None, str | None]
    used_bytes: tuple[int | None, int | None]
    services_added: tuple[str, ...]
    services_removed: tuple[str, ...]


class ImageDiff(Frozen):
    """From the image `old` to the image `new`; packages sorted by name and architecture."""

    old: str
    new: str
    added: tuple[PackageVersion, ...]
    removed: tuple[PackageVersion, ...]
    upgraded: tuple[VersionChange, ...]
    downgraded: tuple[VersionChange, ...]
    files: FileChanges

    @computed_field
    def same_packages(self) -> bool:
        """No package differs."""
        return not (self.added or self.removed or self.upgraded or self.downgraded)


def diff_images(old: str, before: Manifest, new: str, after: Manifest) -> ImageDiff:
    """The difference between two images, from their names and manifests."""
    had = {(package.name, package.arch): package.version for package in before.packages}
    has = {(package.name, package.arch): package.version for package in after.packages}
    changed = [
        VersionChange(name=name, arch=arch, old=had[name, arch], new=version)
        for (name, arch), version in has.items()
        if had.get((name, arch), version) != version
    ]
    return ImageDiff(
        old=old,
        new=new,
        added=_without(after.packages, had),
        removed=_without(before.packages, has),
        upgraded=tuple(one for one in changed if not newer(one.old, one.new)),
        downgraded=tuple(one for one in changed if newer(one.old, one.new)),
        files=_files(before.files, after.files),
    )


def _without(
    packages: Iterable[Package], known: dict[tuple[str, str], str]
) -> tuple[PackageVersion, ...]:
    return tuple(
        PackageVersion(name=name, arch=arch, version=version)
        for name, version, arch in packages
        if (name, arch) not in known
    )


def _files(before: FileFacts, after: FileFacts) -> FileChanges:
    had, has = ({*files.enabled, *files.started} for files in (before, after))
    return FileChanges(
        kernel=(before.kernel, after.kernel),
        used_bytes=(before.used_bytes, after.used_bytes),
        services_added=tuple(sorted(has - had)),
        services_removed=tuple(sorted(had - has)),
    )


def summarize(found: ImageDiff) -> str:
    """One line: `2 upgraded (openssl, nginx), 1 added (jq), kernel 6.1.0-40 -> 6.1.0-41`."""
    parts = [f"{len(names)} {what} ({abbreviate(names)})" for what, names in _named(found) if names]
    old, new = found.files.kernel
    if old != new:
        parts.append(f"kernel {old or 'unknown'} -> {new or 'unknown'}")
    return ", ".join(parts) or "the same packages"


def abbreviate(names: list[str]) -> str:
    """At most 8 of the names, and how many more there are."""
    more = len(names) - MAX_NAMES
    return ", ".join(names[:MAX_NAMES]) + (f" and {more} more" if more > 0 else "")


def full_report(found: ImageDiff) -> str:
    """Every package and service that differs, as text for a terminal."""
    return "\n".join(_paragraphs(found))


def _paragraphs(found: ImageDiff) -> Iterator[str]:
    yield f"{found.old} -> {found.new}: {summarize(found)}"
    for what, versions in (("added", found.added), ("removed", found.removed)):
        yield from _listed(what, [f"{p.name} {p.version} {p.arch}" for p in versions])
    for what, changes in (("upgraded", found.upgraded), ("downgraded", found.downgraded)):
        yield from _listed(what, [_changed(change) for change in changes])
    files = found.files
    yield from _listed("services added", list(files.services_added))
    yield from _listed("services removed", list(files.services_removed))
    yield f"used on disk: {_mb(files.used_bytes[0])} -> {_mb(files.used_bytes[1])}"


def _listed(what: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield f"{what}:"
    yield from (f"  {line}" for line in lines)


def _changed(change: VersionChange) -> str:
    mark = " (security)" if change.security else ""
    return f"{change.name} {change.old} -> {change.new} {change.arch}{mark}"


def _mb(count: int | None) -> str:
    return "unknown" if count is None else f"{count / 10**6:.0f} MB"


def _named(found: ImageDiff) -> Iterator[tuple[str, list[str]]]:
    yield "upgraded", [package.name for package in found.upgraded]
    yield "downgraded", [package.name for package in found.downgraded]
    yield "added", [package.name for package in found.added]
    yield "removed", [package.name for package in found.removed]
