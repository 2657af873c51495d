"""One look at the archives, over HTTP: what is downloaded, what is cached, what goes wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from shutil import rmtree
from typing import TYPE_CHECKING

import pytest
from tests.support.apt import Apt, serving
from tests.support.manifests import BAKED

from bakehouse.core.errors import PermanentError
from bakehouse.history.manifest import Manifest, Mirror, Package, Source
from bakehouse.history.manifest_store import write_manifest
from bakehouse.history.shared_reads import SharedReads
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


def baked(
    ledger: str, apt: Apt, *sources: tuple[str, str, str], mirrors: tuple[Mirror, ...] = ()
) -> None:
    """The image has these sources; by default the archive's one suite."""
    told = sources or ((f"{apt.url}/debian", "trixie", "main"),)
    found = tuple(Source(*source) for source in told)
    write_manifest(ledger, BAKED, Manifest(PACKAGES, sources=found, mirrors=mirrors))


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
        ("s3://bucket/debian", "trixie", "main"),
    )
    found = seen(ledger)
    causes = dict(zip(("dead", "no suite", "no component", "s3"), found.unread, strict=True))
    assert causes["dead"].startswith(f"{gone} trixie main: {gone}/dists/trixie/InRelease does not")
    assert causes["no suite"].endswith("dists/bookworm/Release does not exist")
    assert causes["no component"].endswith("has no component contrib")
    assert "is not an HTTP URL" in causes["s3"]
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


LIST = "mirror+file:/etc/apt/mirrors/debian.list"  # as the images of debian-cloud have it
DEAD = "http://127.0.0.1:9/debian"


def test_the_mirrors_of_a_list_in_the_image_stand_for_it(ledger: str, apt: Apt) -> None:
    baked(ledger, apt, (LIST, "trixie", "main"), mirrors=(Mirror(LIST, f"{apt.url}/debian", ""),))
    assert (seen(ledger).reason, seen(ledger).indexes) == (None, 1)
    apt.publish("debian", "trixie", {"bash": "5.2-3"})
    assert [update.available for update in seen(ledger).found] == ["5.2-3"]


@pytest.mark.parametrize(
    "lines",
    [
        [(DEAD, ""), ("URL", "")],
        [("URL", "priority:2"), (DEAD, "priority:1")],
        [("file:/srv/partial", "priority:1 type:index"), ("URL", "")],
        [(DEAD, "type:deb"), ("URL", "arch:amd64 arch:all")],
        [("s3://bucket/debian", ""), ("URL", "priority:9 type:index")],
    ],
)
def test_another_mirror_is_read_where_one_does_not_answer(
    ledger: str, apt: Apt, lines: list[tuple[str, str]]
) -> None:
    mirrors = [Mirror(LIST, url.replace("URL", f"{apt.url}/debian"), use) for url, use in lines]
    baked(ledger, apt, (LIST, "trixie", "main"), mirrors=tuple(mirrors))
    assert (seen(ledger).reason, seen(ledger).indexes) == (None, 1)


@pytest.mark.parametrize("scheme", ["mirror+http:", "mirror:"])
def test_a_list_on_a_server_is_fetched(ledger: str, apt: Apt, scheme: str) -> None:
    apt.files["/list"] = f"# ours\n\n{DEAD}\tpriority:1\n{apt.url}/debian\n".encode()
    uri = scheme + apt.url.removeprefix("http:") + "/list"
    apt.publish("debian", "trixie-updates", {})
    baked(ledger, apt, (uri, "trixie", "main"), (uri, "trixie-updates", "main"))
    found = seen(ledger)
    assert (found.reason, found.indexes) == (None, 2)
    assert apt.asked.count("/list") == 1


@pytest.mark.parametrize("text", ["", "# nothing\n", "<html>\n", "no URL\n"])
def test_a_list_that_is_none_is_told(ledger: str, apt: Apt, text: str) -> None:
    apt.files["/list"] = text.encode()
    baked(ledger, apt, (f"mirror+{apt.url}/list", "trixie", "main"))
    assert "list of mirrors" in seen(ledger).unread[0]


def test_an_older_manifest_without_mirrors_names_the_remedy(
    ledger: str, apt: Apt, monkeypatch: pytest.MonkeyPatch
) -> None:
    baked(ledger, apt, (LIST, "trixie", "main"))
    (cause,) = seen(ledger).unread
    assert "Variable bakehouse_apt_mirrors" in cause
    monkeypatch.setenv("AIRFLOW_VAR_BAKEHOUSE_APT_MIRRORS", json.dumps({LIST: f"{apt.url}/debian"}))
    assert (seen(ledger).reason, seen(ledger).indexes) == (None, 1)


def test_mirrors_of_the_variable_count_for_lists_and_for_their_lines(
    ledger: str, apt: Apt, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt.files["/list"] = b"https://deb.debian.org/debian\n"
    told = {"http://lists.example": apt.url, "https://deb.debian.org": apt.url}
    monkeypatch.setenv("AIRFLOW_VAR_BAKEHOUSE_APT_MIRRORS", json.dumps(told))
    baked(ledger, apt, ("mirror+http://lists.example/list", "trixie", "main"))
    assert (seen(ledger).reason, seen(ledger).indexes) == (None, 1)


@pytest.mark.parametrize("uri", ["file:/var/cuda-repo", "copy:/srv/debs", "cdrom:[Debian]/"])
def test_an_archive_in_the_image_itself_has_no_news(ledger: str, apt: Apt, uri: str) -> None:
    baked(ledger, apt, (uri, "trixie", "main"), (f"{apt.url}/debian", "trixie", "main"))
    assert (seen(ledger).reason, seen(ledger).indexes) == (None, 1)


def test_mirrors_that_none_of_them_answers_are_all_told(ledger: str, apt: Apt) -> None:
    lines = (Mirror(LIST, DEAD, ""), Mirror(LIST, f"{apt.url}/other", ""))
    baked(ledger, apt, (LIST, "trixie", "main"), mirrors=lines)
    (cause,) = seen(ledger).unread
    assert f"{DEAD}/dists/trixie/InRelease does not answer" in cause
    assert f"{apt.url}/other/dists/trixie/Release does not exist" in cause


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


def of_a_night(ledger: str, started: datetime) -> Updates:
    return find_updates(ledger, BAKED.image, NOW, SharedReads(ledger, started))


def test_runs_of_one_night_read_a_release_file_once(ledger: str, apt: Apt) -> None:
    baked(ledger, apt)
    started = datetime.now(UTC) - timedelta(minutes=1)
    first = of_a_night(ledger, started)
    assert first.indexes == 1
    for _ in range(3):
        assert of_a_night(ledger, started) == first
    assert [path.rpartition("/")[2] for path in apt.asked] == ["InRelease", "Packages.xz"]
    of_a_night(ledger, datetime.now(UTC))
    assert apt.asked[2:] == [RELEASE], "a run that starts later reads it anew"


def test_an_archive_that_has_changed_since_another_run_has_read_it_is_read_anew(
    ledger: str, apt: Apt, tmp_path: Path
) -> None:
    baked(ledger, apt)
    started = datetime.now(UTC) - timedelta(minutes=1)
    of_a_night(ledger, started)
    apt.publish("debian", "trixie", {"bash": "5.2-3", "docs": "1"})
    rmtree(tmp_path / "ledger/indexes")
    found = of_a_night(ledger, started)
    assert (len(found.found), found.unread) == (1, ())


def test_a_page_that_is_no_release_file_is_kept_for_nobody(ledger: str, apt: Apt) -> None:
    baked(ledger, apt)
    started = datetime.now(UTC) - timedelta(minutes=1)
    good, apt.files[RELEASE] = apt.files[RELEASE], b"<html>Please log in</html>"
    assert of_a_night(ledger, started).unread
    apt.files[RELEASE] = good
    assert of_a_night(ledger, started).unread == ()


def test_an_archive_that_stays_broken_is_told(ledger: str, apt: Apt, tmp_path: Path) -> None:
    baked(ledger, apt)
    started = datetime.now(UTC) - timedelta(minutes=1)
    of_a_night(ledger, started)
    rmtree(tmp_path / "ledger/indexes")
    apt.files.clear()
    assert len(of_a_night(ledger, started).unread) == 1
