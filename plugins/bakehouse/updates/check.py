"""Find the updates of an image in the archives of its apt sources.

The Variable `bakehouse_apt_mirrors` replaces URLs, as JSON of URL prefixes:
`{"http://deb.debian.org/": "http://mirror.internal/"}`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bakehouse.core.errors import PermanentError
from bakehouse.history.manifest_store import ManifestNotFound, read_manifest
from bakehouse.updates.archive import Archives
from bakehouse.updates.compare import Listing, Updates, native_arch, updates_in
from bakehouse.updates.release import Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from bakehouse.history.manifest import Manifest, Source
    from bakehouse.history.shared_reads import SharedReads

VARIABLE = "bakehouse_apt_mirrors"


def find_updates(
    ledger: str, image: str, now: datetime, shared: SharedReads | None = None
) -> Updates:
    """Find newer versions of an image's packages; what could not be read is in `unread`.

    Args:
        ledger: The ledger's URL.
        image: The image.
        now: The time of the run.
        shared: The Release files that other runs of the night have read; None reads them anew.
    """
    return _found(ledger, image, now, shared, everything=False)


def find_missing(
    ledger: str, image: str, now: datetime, shared: SharedReads | None = None
) -> Updates:
    """Find all newer versions, also those that the sources had when the image was baked.

    `find_updates` leaves these out, since baking again would leave them out too.
    """
    return _found(ledger, image, now, shared, everything=True)


def mirrors() -> Mapping[str, str]:
    """Read the Variable. Raises PermanentError if it is not such JSON."""
    from airflow.sdk import Variable

    text = str(Variable.get(VARIABLE, default="{}"))
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if isinstance(value, dict) and all(isinstance(to, str) for to in value.values()):
        return value
    raise PermanentError(
        f"the Variable {VARIABLE} is {text!r}: write JSON of URL prefixes, such as"
        ' {"http://deb.debian.org/": "http://mirror.internal/"}'
    )


def _found(
    ledger: str, image: str, now: datetime, shared: SharedReads | None, *, everything: bool
) -> Updates:
    try:
        manifest = read_manifest(ledger, image)
    except ManifestNotFound as missing:
        return Updates(image=image, unread=(str(missing),))
    if manifest.sources is None:
        return Updates(image=image, unread=(f"the apt sources of {image}: its manifest has none",))
    wanted = manifest._replace(passed_over=()) if everything else manifest
    return _compared(image, wanted, manifest.sources, Archives(ledger, now, mirrors(), shared))


def _compared(
    image: str, manifest: Manifest, sources: Iterable[Source], archives: Archives
) -> Updates:
    native = native_arch(manifest.packages)
    architectures = frozenset(package.arch for package in manifest.packages) - {"all"} | {native}
    listings: list[Listing] = []
    unread: list[str] = []
    try:
        for source in sources:
            try:
                listings += archives.listings(source, architectures - {""}, manifest.mirrors)
            except Unreadable as cause:
                unread.append(f"{' '.join(source).rstrip()}: {cause}")
    finally:
        archives.close()
    return Updates(
        image=image,
        found=updates_in(manifest, listings),
        unread=tuple(unread),
        indexes=len(listings),
    )
