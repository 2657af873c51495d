"""Read Release files and package indexes over HTTP, with limits for size and time, and a cache.

The cache is beside the ledger, where every worker reaches it:
`<ledger>/indexes/<source>/<hash>.gz`, with the hash of the Release file. A missing or damaged entry
is fetched again.
"""

from __future__ import annotations

import time
from hashlib import sha256
from typing import TYPE_CHECKING

import httpx
from airflow.sdk import ObjectStoragePath

from bakehouse.history.objects import write
from bakehouse.updates import index, mirror_list, release
from bakehouse.updates.compare import ALL, Listing
from bakehouse.updates.release import File, Release, Unreadable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from bakehouse.history.manifest import Mirror, Source
    from bakehouse.history.shared_reads import SharedReads

SECONDS = 180  # for all reads of one check
CONNECTION_TIMEOUT = 15.0  # seconds
MAX_RELEASE_BYTES = 1 << 23  # bytes
MAX_INDEX_BYTES = 1 << 27
TRIES = 3


class Archives:
    """Reads package indexes. Must be closed."""

    def __init__(
        self,
        ledger: str,
        now: datetime,
        mirrors: Mapping[str, str],
        shared: SharedReads | None = None,
    ) -> None:
        """Open the cache and an HTTP client.

        Args:
            ledger: The ledger's URL.
            now: The time that decides whether a Release file has expired.
            mirrors: URL prefixes and their replacements.
            shared: What other runs of the night have read.
        """
        self._cache = ObjectStoragePath(ledger) / "indexes"
        self._now = now
        self._mirrors = mirrors
        self._shared = shared
        self._of_others: set[str] = set()  # folders whose Release file another run has read
        self._deadline = time.monotonic() + SECONDS
        self._client = httpx.Client(
            timeout=CONNECTION_TIMEOUT, follow_redirects=True, max_redirects=5
        )
        self._releases: dict[str, Release] = {}
        self._lists: dict[str, Sequence[Mirror]] = {}

    def close(self) -> None:
        """Close the HTTP client."""
        self._client.close()

    def listings(
        self, source: Source, architectures: frozenset[str], mirrors: Sequence[Mirror] = ()
    ) -> list[Listing]:
        """Read the indexes of a source for these architectures. Raises Unreadable.

        Args:
            source: The source.
            architectures: The architectures of the image's packages.
            mirrors: The lines of the mirror lists that lie in the image.
        """
        causes = []
        for url in self._urls(source, architectures, mirrors):
            try:
                return self._listings_at(url, source, architectures)
            except Unreadable as cause:
                causes.append(cause)
        if causes:
            raise Unreadable("; ".join(map(str, causes)))
        return []

    def _urls(
        self, source: Source, architectures: frozenset[str], mirrors: Sequence[Mirror]
    ) -> list[str]:
        """Return where the source's suite lies; none if that is in the image itself."""
        uri = self._mirrored(source.uri)
        urls = [uri]
        if mirror_list.is_mirror_list(uri):
            urls = mirror_list.indexes_of(self._mirror_list(uri, mirrors), architectures)
            if not urls:
                raise Unreadable(f"{uri} has no mirror for indexes")
        return [self._mirrored(url) for url in urls if not mirror_list.is_in_the_image(url)]

    def _mirror_list(self, uri: str, mirrors: Sequence[Mirror]) -> Sequence[Mirror]:
        found = [mirror for mirror in mirrors if mirror.of == uri]
        address = self._mirrored(mirror_list.address_of(uri))
        if found or not mirror_list.is_in_the_image(address):
            return found or self._fetched_list(uri, address)
        raise Unreadable(
            f"the image's manifest does not have the mirrors of {uri}: bake it again, or name the"
            f' archive in the Variable bakehouse_apt_mirrors: {{"{uri}": "https://..."}}'
        )

    def _fetched_list(self, uri: str, address: str) -> Sequence[Mirror]:
        if uri not in self._lists:
            data = self._mirror_file(uri, address)
            self._lists[uri] = mirror_list.parse(uri, data)
        return self._lists[uri]

    def _mirror_file(self, uri: str, address: str) -> bytes:
        def fetch() -> bytes:
            data = self._get(address, MAX_RELEASE_BYTES)
            mirror_list.parse(uri, data)  # what is none is kept for nobody
            return data

        return fetch() if self._shared is None else self._shared.read(f"list {address}", fetch)

    def _listings_at(
        self, url: str, source: Source, architectures: frozenset[str]
    ) -> list[Listing]:
        folder = release.folder_of(source._replace(uri=url))
        try:
            return self._listings_by(self._release(folder), folder, source, architectures)
        except Unreadable:
            if folder not in self._of_others:
                raise
        # the archive may have changed since another run has read its Release file
        return self._listings_by(self._release(folder, anew=True), folder, source, architectures)

    def _listings_by(
        self, found: Release, folder: str, source: Source, architectures: frozenset[str]
    ) -> list[Listing]:
        wanted = sorted(architectures | {ALL} if found.separate_all_index else architectures)
        listings = []
        for arch in wanted if source.component else ["flat"]:
            file = release.index_of(found, source, arch)
            if file is not None:
                versions = self._versions(folder, found, source, file)
                reach = arch if source.component else ALL
                listings.append(Listing(source, reach, found.security, found.policy, versions))
        return listings

    def _mirrored(self, uri: str) -> str:
        """Return the URL on a mirror, if one is configured for it."""
        for prefix in sorted(self._mirrors, key=len, reverse=True):
            if uri.startswith(prefix):
                return self._mirrors[prefix] + uri.removeprefix(prefix)
        return uri

    def _release(self, folder: str, *, anew: bool = False) -> Release:
        if folder not in self._releases or anew:
            data = self._release_file(folder, anew=anew)
            self._releases[folder] = release.parse(data)
            release.check_age(self._releases[folder], self._now)
        return self._releases[folder]

    def _release_file(self, folder: str, *, anew: bool) -> bytes:
        """Return the file; of those that other runs of the night have read, if one fits."""
        self._of_others.discard(folder)
        if self._shared is None:
            return self._fetched_release(folder)
        question = f"Release of {folder}"
        if anew:
            return self._shared.ask(question, lambda: self._fetched_release(folder))
        self._of_others.add(folder)
        return self._shared.read(question, lambda: self._first_release(folder))

    def _first_release(self, folder: str) -> bytes:
        self._of_others.discard(folder)
        return self._fetched_release(folder)

    def _fetched_release(self, folder: str) -> bytes:
        try:
            data = self._get(f"{folder}InRelease", MAX_RELEASE_BYTES)
        except _FileNotFound:
            data = self._get(f"{folder}Release", MAX_RELEASE_BYTES)
        release.parse(data)  # what is none is kept for nobody
        return data

    def _versions(self, folder: str, found: Release, source: Source, file: File) -> index.Versions:
        name = sha256("\n".join((*source, file.path)).encode()).hexdigest()[:20]
        cached = self._cache / name / f"{file.sha256}.gz"
        try:
            return index.from_bytes(cached.read_bytes())
        except (OSError, ValueError):
            pass  # missing, or incomplete because a worker died
        if file.size > MAX_INDEX_BYTES:
            raise Unreadable(f"{file.path} has {file.size} bytes; the limit is {MAX_INDEX_BYTES}")
        try:
            versions = index.versions_of(self._get(folder + _path(found, file), file.size), file)
        except Unreadable as cause:
            raise Unreadable(f"{file.path} {cause}") from cause
        self._store(cached, index.to_bytes(versions))
        return versions

    def _store(self, cached: ObjectStoragePath, data: bytes) -> None:
        """Write a cache entry and delete older ones of the same source."""
        write(cached, data)
        for older in cached.parent.iterdir():
            if older.name != cached.name:
                older.unlink(missing_ok=True)

    def _get(self, url: str, at_most: int) -> bytes:
        """Fetch a file of at most so many bytes; a broken connection is tried again."""
        if not url.startswith(("http://", "https://")):
            raise Unreadable(
                f"{url} is not an HTTP URL; the Variable bakehouse_apt_mirrors can name one"
            )
        for left in reversed(range(TRIES)):
            try:
                return self._stream(url, at_most)
            except (httpx.TransportError, httpx.DecodingError) as broken:
                if not left:
                    raise Unreadable(f"{url} does not answer: {_cause(broken)}") from broken
            except (httpx.InvalidURL, httpx.TooManyRedirects) as bad:
                raise Unreadable(f"{url}: {bad}") from bad
        raise AssertionError("the last try has returned or raised")

    def _stream(self, url: str, at_most: int) -> bytes:
        data = bytearray()
        with self._client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as answer:
            if answer.status_code in {404, 410}:
                raise _FileNotFound(f"{url} does not exist")
            if answer.status_code != 200:
                raise Unreadable(f"{url} answers {answer.status_code}")
            for chunk in answer.iter_raw():
                data += chunk
                if len(data) > at_most:
                    raise Unreadable(f"{url} is larger than {at_most} bytes")
                if time.monotonic() > self._deadline:
                    raise Unreadable(f"{url} was not read within {SECONDS} s")
        return bytes(data)


class _FileNotFound(Unreadable):
    """The archive does not have this file."""


def _path(found: Release, file: File) -> str:
    """Return the path by hash if the archive has it: it stays valid when the index changes."""
    folder, _, name = file.path.rpartition("/")
    named = f"by-hash/SHA256/{file.sha256}" if found.by_hash else name
    return f"{folder}/{named}" if folder else named


def _cause(broken: Exception) -> str:
    return str(broken) or type(broken).__name__
