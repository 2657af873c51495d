"""The jars of a lock come from a repository once, and nothing else is believed."""

from __future__ import annotations

import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devstack.kafka.artefacts import ArtefactError, jars, java

if TYPE_CHECKING:
    from collections.abc import Iterator

JARS = {"org/a/1/a-1.jar": b"the jar a", "org/b/2/b-2.jar": b"the jar b"}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:  # ruff: ignore[unused-method-argument]
        return


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[str]:
    for path, content in JARS.items():
        file = tmp_path / "repository" / path
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
    handler = partial(Quiet, directory=str(tmp_path / "repository"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def lock(folder: Path, jars_of_lock: dict[str, bytes] = JARS) -> Path:
    lines = ["# sha256 and path\n"]
    lines += [
        f"{hashlib.sha256(data).hexdigest()}  {path}\n" for path, data in jars_of_lock.items()
    ]
    file = folder / "artefacts.lock"
    file.write_text("".join(lines), encoding="ascii")
    return file


def test_the_folder_has_the_jars_of_the_lock_and_no_others(repository: str, tmp_path: Path) -> None:
    both = jars(lock(tmp_path), tmp_path / "cache", repository)
    one = jars(lock(tmp_path, dict(list(JARS.items())[:1])), tmp_path / "cache", repository)
    assert {file.name: file.read_bytes() for file in both.iterdir()} == {
        "a-1.jar": b"the jar a",
        "b-2.jar": b"the jar b",
    }
    assert [file.name for file in one.iterdir()] == ["a-1.jar"]


def test_what_is_in_the_cache_is_fetched_again_only_if_its_checksum_is_wrong(
    repository: str, tmp_path: Path
) -> None:
    wanted, cache = lock(tmp_path), tmp_path / "cache"
    folder = jars(wanted, cache, repository)
    (folder / "a-1.jar").write_bytes(b"somebody else's")
    (tmp_path / "repository/org/b/2/b-2.jar").unlink()
    assert jars(wanted, cache, repository) == folder
    assert (folder / "a-1.jar").read_bytes() == b"the jar a"
    (folder / "b-2.jar").unlink()
    with pytest.raises(ArtefactError, match=r"b-2\.jar.*404"):
        jars(wanted, cache, repository)


def test_a_jar_with_another_checksum_is_refused_and_not_kept(
    repository: str, tmp_path: Path
) -> None:
    for path in JARS:
        (tmp_path / "repository" / path).write_bytes(b"other bytes")
    with pytest.raises(ArtefactError) as refused:
        jars(lock(tmp_path), tmp_path / "cache", repository)
    assert str(refused.value).count("the lock says") == 2
    assert [file for file in (tmp_path / "cache").rglob("*") if file.is_file()] == []


def test_all_lines_of_a_lock_that_are_none_are_named(tmp_path: Path) -> None:
    file = tmp_path / "artefacts.lock"
    file.write_text(f"# jars\n\n{'a' * 64} org/a.jar\nabc org/b.jar\norg/c.jar\n", encoding="ascii")
    with pytest.raises(ArtefactError) as refused:
        jars(file, tmp_path / "cache", "http://127.0.0.1:1")
    assert [line.rpartition(".lock:")[2][0] for line in str(refused.value).splitlines()] == [
        "4",
        "5",
    ]


def test_a_repository_that_does_not_answer_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"a-1\.jar.*check the network"):
        jars(lock(tmp_path), tmp_path / "cache", "http://127.0.0.1:1")


def test_java_is_debians_or_the_one_of_the_path() -> None:
    found = java(lambda name: f"/usr/local/bin/{name}")
    assert found is not None
    assert Path(found).name == "java"
