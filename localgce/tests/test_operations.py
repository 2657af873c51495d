"""Operations that an earlier server has persisted, at the next start."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from localgce.api import operations as api
from localgce.core.settings import Settings
from localgce.core.store import Record, Store
from localgce.machines.instant.host import InstantHost
from localgce.service import Service

from .gce import ZONE

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from pathlib import Path

    from localgce.api.method import Call
    from localgce.core.operations import Task

SCOPE = f"zones/{ZONE}"
DISK = ["disks", "demo", SCOPE, "data"]
# what every release so far has persisted for an insert of a blank disk
GOOD: dict[str, Any] = {
    "at": 0.0,
    "work": "disks.insert",
    "args": {},
    "target": DISK,
    "faults": [],
    "request": None,
}


def disk(status: str = "CREATING") -> Record:
    """A blank disk."""
    link = f"https://www.googleapis.com/compute/v1/projects/demo/{SCOPE}/disks/data"
    body = {"id": "7", "name": "data", "status": status, "sizeGb": "1", "selfLink": link}
    return Record("disks", "demo", SCOPE, "data", body)


def operation(private: dict[str, Any], target_id: str = "7") -> Record:
    """A running operation on that disk."""
    body = {
        "id": "9",
        "name": "op",
        "status": "RUNNING",
        "progress": 0,
        "targetId": target_id,
        "targetLink": disk().link,
        "selfLink": "",
        "insertTime": "2026-11-23T00:25:30.123-08:00",
    }
    return Record("zoneOperations", "demo", SCOPE, "op", body, private)


async def restarted(folder: Path, *records: Record) -> tuple[dict[str, Any], Record | None]:
    """The operation and the disk after a server has started with these records."""
    store = Store(folder)
    for record in records:
        store.put(record)
    store.close()
    service = Service(Settings(folder, "demo", folder), InstantHost(folder))
    await service.open()
    begun = service.store.get("zoneOperations", "demo", SCOPE, "op")
    assert begun is not None
    done = await service.operations.wait(begun, 120)
    after = service.store.get("disks", "demo", SCOPE, "data")
    await service.close(0)
    assert done.body["status"] == "DONE"
    return done.body, after


async def test_an_interrupted_operation_is_resumed(tmp_path: Path) -> None:
    done, after = await restarted(tmp_path, disk(), operation(GOOD))
    assert "error" not in done
    assert after is not None
    assert after.body["status"] == "READY"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"work": "disks.teleport"}, "it has no handler 'disks.teleport'"),
        ({"work": None}, "it has no handler 'None'"),
        ({"work": ["disks.insert"]}, "it has no handler"),
        ({"version": 2}, "its handler 'disks.insert' has version 1, not 2"),
        ({"args": None}, "the arguments of 'disks.insert' are unreadable"),
        ({"target": ["disks", "demo"]}, "the target of 'disks.insert' is unreadable"),
        ({"target": [1, 2, 3, 4]}, "the target of 'disks.insert' is unreadable"),
        ({"faults": [{"kind": "slow", "colour": "red"}]}, "the faults of 'disks.insert'"),
        ({"faults": 5}, "the faults of 'disks.insert' are unreadable"),
    ],
)
async def test_an_operation_that_cannot_be_resumed_fails(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    done, _ = await restarted(tmp_path, disk(), operation({**GOOD, **change}))
    (error,) = done["error"]["errors"]
    assert error["code"] == "UNSUPPORTED_OPERATION"
    assert reason in error["message"]
    assert done["httpErrorStatusCode"] == 400
    assert done["endTime"]


async def test_an_operation_without_any_work_fails(tmp_path: Path) -> None:
    done, _ = await restarted(tmp_path, disk(), operation({"at": 0.0}))
    assert done["error"]["errors"][0]["code"] == "UNSUPPORTED_OPERATION"


@pytest.mark.parametrize("records", [[], [disk("READY").changed(id="8")]], ids=["gone", "another"])
async def test_an_operation_on_a_missing_resource_fails(
    tmp_path: Path, records: list[Record]
) -> None:
    done, _ = await restarted(tmp_path, *records, operation(GOOD))
    (error,) = done["error"]["errors"]
    assert error["code"] == "RESOURCE_NOT_FOUND"
    assert error["message"] == f"The resource 'demo/{SCOPE}/data' was not found"


async def test_a_deletion_whose_resource_is_gone_has_succeeded(tmp_path: Path) -> None:
    done, after = await restarted(tmp_path, operation({**GOOD, "work": "disks.delete"}))
    assert "error" not in done
    assert after is None


def test_a_handler_cannot_be_registered_twice(tmp_path: Path) -> None:
    service = Service(Settings(tmp_path, "demo", tmp_path), InstantHost(tmp_path))
    with pytest.raises(ValueError, match=r"disks\.insert is registered twice"):
        service.operations.register("disks.insert", lambda task: task.progress(1))
    service.store.close()


@pytest.mark.parametrize(("seconds", "status"), [(60.0, "DONE"), (0.0, "RUNNING")])
async def test_what_ends_while_the_answer_is_on_its_way_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, status: str
) -> None:
    monkeypatch.setattr(api, "ANSWER_SECONDS", seconds)
    store, may_end = Store(tmp_path), asyncio.Event()
    for record in (disk(), operation({**GOOD, "work": "a test"})):
        store.put(record)
    store.close()
    service = Service(Settings(tmp_path, "demo", tmp_path), InstantHost(tmp_path))

    async def until_it_may_end(_: Task) -> None:
        await may_end.wait()

    service.operations.register("a test", until_it_may_end)
    await service.open()
    begun = service.store.get("zoneOperations", "demo", SCOPE, "op")
    call = SimpleNamespace(
        record=lambda: begun,
        context=SimpleNamespace(core=SimpleNamespace(operations=service.operations)),
    )
    if seconds:
        asyncio.get_running_loop().call_later(0.01, may_end.set)
    looked_at = await cast("Awaitable[dict[str, Any]]", api.get(cast("Call", call)))
    assert looked_at["status"] == status
    await service.close(0)
