"""Bundles beside the ledger: written once, whole or not at all, and checked when they are read."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bakehouse.bake.bundle_store import BundleStore
from bakehouse.recipe.bundle import BadBundle, Bundle
from bakehouse.recipe.commit import GitFile
from bakehouse.recipe.render import Rendered

DIES_BEFORE_THE_RENAME = """
import os, signal, sys
os.link = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
from airflow.sdk import ObjectStoragePath
from bakehouse.history.objects import create
create(ObjectStoragePath(sys.argv[1]), b"half of it")
"""


def bundle(page: str = "hello") -> Bundle:
    rendered = Rendered(
        recipe="web",
        vars={"page": page},
        services=(),
        bake_script="true\n",
        smoke_script="true\n",
        smoke_metadata={},
        files={"recipe/install.sh": GitFile(0o100755, b"true\n" * 10_000)},
        machine_type="e2-small",
        disk_gb=10,
        image={"family": "web"},
    )
    return Bundle(rendered, "77")


@pytest.fixture
def store(tmp_path: Path) -> BundleStore:
    return BundleStore(f"file://{tmp_path}/ledger")


def file_of(tmp_path: Path, one: Bundle) -> Path:
    return tmp_path / f"ledger/bundles/web/{one.content_key}.json"


def test_what_is_put_is_got(store: BundleStore, tmp_path: Path) -> None:
    assert store.put(bundle()) == f"file://{file_of(tmp_path, bundle())}"
    assert store.get("web", bundle().content_key) == bundle()


def test_a_bundle_that_is_missing_is_none(store: BundleStore) -> None:
    assert store.get("web", bundle().content_key) is None
    assert store.listed() == []


def test_a_bundle_is_never_written_over_another(store: BundleStore, tmp_path: Path) -> None:
    store.put(bundle())
    before = file_of(tmp_path, bundle()).stat()
    store.put(bundle())
    after = file_of(tmp_path, bundle()).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.mark.parametrize("damage", [b"", b"{", b"{}", bundle("other").to_bytes()])
def test_a_damaged_bundle_is_refused_and_a_new_plan_mends_it(
    store: BundleStore, tmp_path: Path, damage: bytes
) -> None:
    store.put(bundle())
    file_of(tmp_path, bundle()).write_bytes(damage)
    with pytest.raises(BadBundle, match=f"{bundle().content_key}.json is not"):
        store.get("web", bundle().content_key)
    store.put(bundle())
    assert store.get("web", bundle().content_key) == bundle()


def test_many_writers_leave_one_whole_bundle(store: BundleStore, tmp_path: Path) -> None:
    start = threading.Barrier(8)

    def write(_: int) -> None:
        start.wait()
        store.put(bundle())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    folder = file_of(tmp_path, bundle()).parent
    assert list(folder.iterdir()) == [file_of(tmp_path, bundle())]
    assert store.get("web", bundle().content_key) == bundle()


@pytest.mark.long
def test_a_writer_killed_before_the_rename_leaves_no_bundle(
    store: BundleStore, tmp_path: Path
) -> None:
    target = file_of(tmp_path, bundle())
    command = [sys.executable, "-c", DIES_BEFORE_THE_RENAME, f"file://{target}"]
    plugins = str(Path(__file__).parents[3] / "plugins")
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": plugins}, check=False)
    assert done.returncode == -9
    assert store.get("web", bundle().content_key) is None
    (half,) = store.listed()
    assert half.content_key == "", "housekeeping knows it for what it is"
    store.put(bundle())
    assert store.get("web", bundle().content_key) == bundle()
    store.delete(half)
    assert [one.content_key for one in store.listed()] == [bundle().content_key]


def test_each_bundle_is_listed_with_its_age(store: BundleStore, tmp_path: Path) -> None:
    store.put(bundle())
    store.put(bundle("other"))
    old = datetime(2026, 1, 2, tzinfo=UTC)
    os.utime(file_of(tmp_path, bundle()), (old.timestamp(), old.timestamp()))
    ages = {one.content_key: one.modified for one in store.listed()}
    assert ages[bundle().content_key] == old
    assert datetime.now(UTC) - ages[bundle("other").content_key] < timedelta(minutes=5)


def test_deleting_what_is_gone_is_no_error(store: BundleStore) -> None:
    store.put(bundle())
    (one,) = store.listed()
    store.delete(one)
    store.delete(one)
    assert store.listed() == []
