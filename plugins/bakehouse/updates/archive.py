"""Release files and package indexes over HTTP: bounded in size and time, indexes cached.

The cache is nothing but one, beside the ledger where every worker reaches it:
`<ledger>/indexes/<source>/<hash>.gz`, the hash being the one that the Release file gives. What is
missing or broken there is fetched again.
"""

from __future__ import annotations

import time
from hashlib import sha256
from typing import TYPE_CHECKING

import httpx
from airflow.sdk import ObjectStoragePath

from bakehouse.updates import index, release
from bakehouse.updates.compare import ALL, Listing
from bakehouse.updates.release import File, Release, Unreadable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from bakehouse.history.manifest import Source

SECONDS = 180  # for everything that one run reads
QUIET_SECONDS = 15.0  # of one connection
MOST_OF_A_RELEASE = 1 << 23  # bytes
MOST_OF_AN_INDEX = 1 << 27
TRIES = 3


class Archives:
    """Reads indexes; to be closed. `mirrors` says where to ask instead: URL prefix -> prefix."""

    def __init__(self, ledger: str, now: datetime, mirrors: Mapping[str, str]) -> None:
        self._cache = ObjectStoragePath(ledger) / "indexes"
        self._now = now
        self._mirrors = mirrors
        self._deadline = time.monotonic() + SECONDS
        self._client = httpx.Client(timeout=QUIET_SECONDS, follow_redirects=True, max_redirects=5)
        self._releases: dict[str, Release] = {}

    def close(self) -> None:
        self._client.close()

    def listings(self, source: Source, architectures: frozenset[str]) -> list[Listing]:
        """The indexes of a source for these architectures. Raises Unreadable."""
        folder = release.folder_of(source._replace(uri=self._asked(source.uri)))
        found = self._release(folder)
        wanted = sorted(architectures | {ALL} if found.all_apart else architectures)
        listings = []
        for arch in wanted if source.component else ["flat"]:
            file = release.index_of(found, source, arch)
            if file is not None:
                versions = self._versions(folder, found, source, file)
                reach = arch if source.component else ALL
                listings.append(Listing(source, reach, found.security, found.taken, versions))
        return listings

    def _asked(self, uri: str) -> str:
        """The URL of a mirror, where one is told for it."""
        for prefix in sorted(self._mirrors, key=len, reverse=True):
            if uri.startswith(prefix):
                return self._mirrors[prefix] + uri.removeprefix(prefix)
        return uri

    def _release(self, folder: str) -> Release:
        if folder not in self._releases:
            try:
                data = self._get(f"{folder}InRelease", MOST_OF_A_RELEASE)
            except _NotThere:
                data = self._get(f"{folder}Release", MOST_OF_A_RELEASE)
            self._releases[folder] = release.parse(data)
            release.check_age(self._releases[folder], self._now)
        return self._releases[folder]

    def _versions(self, folder: str, found: Release, source: Source, file: File) -> index.Versions:
        name = sha256("\n".join((*source, file.path)).encode()).hexdigest()[:20]
        cached = self._cache / name / f"{file.sha256}.gz"
        try:
            return index.from_bytes(cached.read_bytes())
        except (OSError, ValueError):
            pass  # not there, or half written by a worker that died
        if file.size > MOST_OF_AN_INDEX:
            raise Unreadable(f"{file.path} has {file.size} bytes, {MOST_OF_AN_INDEX} are allowed")
        try:
            versions = index.versions_of(self._get(folder + _path(found, file), file.size), file)
        except Unreadable as cause:
            raise Unreadable(f"{file.path} {cause}") from cause
        self._keep(cached, index.to_bytes(versions))
        return versions

    def _keep(self, cached: ObjectStoragePath, data: bytes) -> None:
        """In place of the older ones of the same source."""
        cached.parent.mkdir(parents=True, exist_ok=True)
        cached.write_bytes(data)
        for older in cached.parent.iterdir():
            if older.name != cached.name:
                older.unlink(missing_ok=True)

    def _get(self, url: str, at_most: int) -> bytes:
        """A file of at most so many bytes; a connection that breaks is tried again."""
        if not url.startswith(("http://", "https://")):
            raise Unreadable(f"{url} is nothing that a worker can fetch")
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
                raise _NotThere(f"{url} is not there")
            if answer.status_code != 200:
                raise Unreadable(f"{url} answers {answer.status_code}")
            for chunk in answer.iter_raw():
                data += chunk
                if len(data) > at_most:
                    raise Unreadable(f"{url} is larger than {at_most} bytes")
                if time.monotonic() > self._deadline:
                    raise Unreadable(f"{url} was not read within {SECONDS} s")
        return bytes(data)


class _NotThere(Unreadable):
    """The archive has no such file."""


def _path(found: Release, file: File) -> str:
    """By its hash, where the archive offers that: it stays when the index changes meanwhile."""
    folder, _, name = file.path.rpartition("/")
    named = f"by-hash/SHA256/{file.sha256}" if found.by_hash else name
    return f"{folder}/{named}" if folder else named


def _cause(broken: Exception) -> str:
    return str(broken) or type(broken).__name__
