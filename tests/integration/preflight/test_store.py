"""The ledger's store is tried with a lease: what would not hold is told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]
from tests.support.fake_gcs import cloud_storage

from bakehouse.preflight.gather import store_facts

if TYPE_CHECKING:
    import pytest


def test_a_store_that_creates_an_object_once_is_left_as_it_was(tmp_path: Path) -> None:
    assert store_facts(f"file://{tmp_path}/ledger").problem == ""
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_a_bucket_holds_leases_and_is_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cloud_storage(tmp_path) as storage:
        assert store_facts(storage.connect(monkeypatch)).problem == ""
        said = [(request.method, request.status) for request in storage.requests()]
    created, deleted = (
        [status for method, status in said if method == name]
        for name in ("objects.insert", "objects.delete")
    )
    assert created == [200, 412, 200], "the first writer, the second, and the release"
    assert len(deleted) == 2


def test_a_store_that_leases_refuse_is_told_with_what_they_need() -> None:
    attach("memory", fs=MemoryFileSystem())
    found = store_facts("memory://ledger").problem
    assert "leases need a store that creates an object only if it is absent" in found


def test_a_store_that_creates_an_object_twice_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overwrites(_: Any, path: str, content: bytes) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(content)

    monkeypatch.setattr("bakehouse.lease.lease._create_exclusively", overwrites)
    found = store_facts(f"file://{tmp_path}/ledger").problem
    assert found == "two writers have created the same object: leases would not hold"


def test_a_store_that_cannot_be_reached_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "Not a directory" in store_facts(f"file://{tmp_path}/file/ledger").problem
