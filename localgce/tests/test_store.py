"""The store: transactions, and a full disk that fails a request but not the server."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING

import pytest

from localgce.core.errors import ApiError
from localgce.core.settings import Settings
from localgce.core.store import Record, StateInUse, Store
from localgce.machines.instant.host import InstantHost
from localgce.service import Service

from .gce import ZONE, instance

if TYPE_CHECKING:
    from pathlib import Path


def record(name: str, **body: object) -> Record:
    """A disk."""
    return Record("disks", "demo", f"zones/{ZONE}", name, {"id": f"{len(name)}00", **body})


def test_records_are_there_after_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(record("a", size="1").kept(secret="x"))
    store.put(record("ab"))
    store.delete(record("ab"))
    store.close()
    again = Store(tmp_path)
    assert again.all("disks") == [record("a", size="1").kept(secret="x")]
    assert again.by_id("disks", "100") == again.get("disks", "demo", f"zones/{ZONE}", "a")
    again.close()


def test_a_failing_transaction_changes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(record("a", size="1"))
    with pytest.raises(ZeroDivisionError):
        change_and_fail(store)
    assert store.all("disks") == [record("a", size="1")]
    assert store.by_id("disks", "300") is None
    store.close()
    again = Store(tmp_path)
    assert again.all("disks") == [record("a", size="1")]
    again.close()


def change_and_fail(store: Store) -> None:
    """Change records in a transaction that fails."""
    with store.transaction():
        store.put(record("a", size="2"))
        store.put(record("abc"))
        store.delete(record("a"))
        raise ZeroDivisionError


def test_ids_find_only_in_their_scope(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(record("a"))
    assert store.get("disks", "demo", f"zones/{ZONE}", "100") == record("a")
    assert store.get("disks", "demo", "zones/europe-west1-b", "100") is None
    store.close()


def test_a_second_store_on_a_folder_is_rejected(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(StateInUse, match="is in use by localgce, pid"):
        Store(tmp_path)
    store.close()


async def test_a_full_disk_fails_the_call_and_not_the_server(tmp_path: Path) -> None:
    host = InstantHost(tmp_path)
    service = Service(Settings(tmp_path, "demo", tmp_path), host)
    service.connect_guests(host)
    await service.open()
    dispatcher = service.dispatcher()
    vms = f"projects/demo/zones/{ZONE}/instances"

    async def call(method: str, path: str, body: object = None) -> int:
        answer = await dispatcher.answer(method, path, "", json.dumps(body).encode())
        if method == "POST" and answer.body is not None and answer.status == 200:
            operation = service.store.by_id("zoneOperations", str(answer.body["id"]))
            assert operation is not None
            await service.operations.wait(operation, 120)
        return answer.status

    assert await call("POST", vms, instance("one")) == 200
    fill_up(service.store)
    big = instance("two", metadata={"big": "x" * 200_000})
    assert await call("POST", vms, big) == 503
    assert await call("GET", f"{vms}/two") == 404
    assert await call("GET", f"{vms}/one") == 200
    service.store._db.execute("PRAGMA max_page_count = 1000000")
    assert await call("POST", vms, big) == 200
    found = service.store.get("instances", "demo", f"zones/{ZONE}", "two")
    assert found is not None
    assert found.body["status"] == "RUNNING"
    await service.close(0)


def fill_up(store: Store) -> None:
    """Let the file grow no more."""
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises((ApiError, sqlite3.OperationalError)):
        store.put(record("filler", text="x" * 1_000_000))
