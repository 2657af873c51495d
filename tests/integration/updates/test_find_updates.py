"""One look at the archives, over HTTP: what is downloaded, what is cached, what goes wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from tests.support.apt import Apt, serving
from tests.support.manifests import BAKED

from bakehouse.core.errors import PermanentError
from bakehouse.history.manifest import Manifest, Package, Source
from bakehouse.history.manifest_store import write_manifest
from bakehouse.updates import archive
from bakehouse.updates.check import find_updates, mirrors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bakehouse.updates.compare import Updates

NOW = datetime(2026, 11, 25, tzinfo=UTC)
PACKAGES = (Package("bash", "5.2-2", "amd64"), Package("docs", "1", "all"))
RELEASE = "/debian/dists/trixie/InRelease"


@pytest.fixture
def apt() -> Iterator[Apt]:
    with serving() as served:
        served.publish("debian", "trixie", {"bash": "5.2-2", "docs": "1", "more": "3"})
        yield served


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    return f"file://{tmp_path}/ledger"


def baked(ledger: str, apt: Apt, *sources: tuple[str, str, str]) -> None:
    """The image has these sources; by default the archive's one suite."""
    told = sources or ((f"{apt.url}/debian", "trixie", "main"),)
    manifest = Manifest(PACKAGES, sources=tuple(Source(*source) for source in told))
    write_manifest(ledger, BAKED, manifest)


def seen(ledger: str) -> Updates:
    return find_updates(ledger, BAKED.image, NOW)


def test_nothing_new_then_an_update_then_nothing_downloaded_twice(ledger: str, apt: Apt) -> None:
    baked(ledger, apt)
    first = seen(ledger)
    assert (first.found, first.unread, first.indexes) == ((), (), 1)
    assert [path.rpartition("/")[2] for path in apt.asked] == ["InRelease", "Packages.xz"]

    apt.forget()
    assert seen(ledger) == first
    assert apt.asked == [RELEASE], "the Release file has not changed: nothing but it is read"

    apt.publish("debian", "trixie", {"bash": "5.2-3"}, Label="Debian-Security")
    found = seen(ledger)
    assert [str(update) for update in found.found] == ["bash 5.2-2 -> 5.2-3 (trixie, security)"]
    apt.forget()
    assert seen(ledger) == found
    assert apt.asked == [RELEASE]


def test_the_cache_is_only_a_cache(ledger: str, apt: Apt, tmp_path: Path) -> None:
    baked(ledger, apt)
    first = seen(ledger)
    (cached,) = (tmp_path / "ledger/indexes").rglob("*.gz")
    cached.write_bytes(cached.read_bytes()[:-5])  # a worker that died while it was writing
    assert seen(ledger) == first
    apt.publish("debian", "trixie", {"bash": "5.2-9"})
    assert len(seen(ledger).found) == 1
    left = list((tmp_path / "ledger/indexes").rglob("*.gz"))
    assert len(left) == 1, "the older index of the same source is gone"
    assert left != [cached]


def test_several_suites_and_packings(ledger: str, apt: Apt) -> None:
    apt.publish("debian", "trixie-updates", {"docs": "2"}, packing="gz", name="Release")
    apt.publish("security", "trixie-security", {"bash": "5.2-2+u1"}, Acquire_By_Hash="yes")
    baked(
        ledger,
        apt,
        (f"{apt.url}/debian", "trixie", "main"),
        (f"{apt.url}/debian", "trixie-updates", "main"),
        (f"{apt.url}/security/", "trixie-security", "main"),
    )
    found = seen(ledger)
    assert [(u.name, u.security) for u in found.found] == [("bash", True), ("docs", False)]
    assert (found.indexes, found.unread) == (3, ())
    assert any("/by-hash/SHA256/" in path for path in apt.asked)


def test_an_index_that_cannot_be_read_is_told_with_its_cause(ledger: str, apt: Apt) -> None:
    gone = "http://127.0.0.1:9"
    baked(
        ledger,
        apt,
        (gone, "trixie", "main"),
        (f"{apt.url}/debian", "bookworm", "main"),
        (f"{apt.url}/debian", "trixie", "contrib"),
        ("file:/srv/debian", "trixie", "main"),
    )
    found = seen(ledger)
    causes = dict(zip(("dead", "no suite", "no component", "file"), found.unread, strict=True))
    assert causes["dead"].startswith(f"{gone} trixie main: {gone}/dists/trixie/InRelease does not")
    assert causes["no suite"].endswith("dists/bookworm/Release does not exist")
    assert causes["no component"].endswith("has no component contrib")
    assert causes["file"].endswith("is not an HTTP URL")
    assert found.reason == "updates_unknown"


def test_a_changed_index_that_the_release_does_not_name_is_not_believed(
    ledger: str, apt: Apt
) -> None:
    baked(ledger, apt)
    index = next(path for path in apt.files if path.endswith("Packages.xz"))
    apt.files[index] = apt.files[index][:-1] + b"x"
    (cause,) = seen(ledger).unread
    assert "main/binary-amd64/Packages.xz differs in size or SHA256" in cause


def test_a_connection_that_breaks_is_tried_again(ledger: str, apt: Apt) -> None:
    baked(ledger, apt)
    apt.broken = archive.TRIES - 1
    assert seen(ledger).unread == ()
    apt.broken = archive.TRIES
    assert "does not answer" in seen(ledger).unread[0]


def test_size_and_time_are_bounded(ledger: str, apt: Apt, monkeypatch: pytest.MonkeyPatch) -> None:
    baked(ledger, apt)
    monkeypatch.setattr(archive, "MAX_RELEASE_BYTES", 10)
    assert "is larger than 10 bytes" in seen(ledger).unread[0]
    monkeypatch.setattr(archive, "MAX_RELEASE_BYTES", 1 << 20)
    monkeypatch.setattr(archive, "MAX_INDEX_BYTES", 10)
    assert "the limit is 10" in seen(ledger).unread[0]
    monkeypatch.setattr(archive, "SECONDS", -1)
    assert "was not read within" in seen(ledger).unread[0]


def test_the_archive_may_be_another_one(
    ledger: str, apt: Apt, monkeypatch: pytest.MonkeyPatch
) -> None:
    baked(ledger, apt, ("http://deb.debian.org/debian", "trixie", "main"))
    told = {
        "http://deb.debian.org/": "http://127.0.0.1:9/",
        "http://deb.debian.org/d": apt.url + "/d",
    }
    monkeypatch.setenv("AIRFLOW_VAR_BAKEHOUSE_APT_MIRRORS", json.dumps(told))
    found = seen(ledger)
    assert (found.unread, found.indexes) == ((), 1)
    assert apt.asked[0] == RELEASE, "the longest prefix counts"


@pytest.mark.parametrize("text", ["http://x", "[]", '{"a": 1}'])
def test_a_variable_that_is_no_map_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_BAKEHOUSE_APT_MIRRORS", text)
    with pytest.raises(PermanentError, match=r"bakehouse_apt_mirrors is .*write JSON"):
        mirrors()


def test_an_image_that_tells_no_sources_cannot_be_compared(ledger: str) -> None:
    assert "no manifest of" in seen(ledger).unread[0]
    write_manifest(ledger, BAKED, Manifest(PACKAGES))
    assert "its manifest has none" in seen(ledger).unread[0]
    write_manifest(ledger, BAKED, Manifest(PACKAGES, sources=()))
    assert seen(ledger).reason is None, "without sources nothing can be newer"
