"""The states of instances whose machines fail."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock

import pytest

from localgce.core.errors import MachineError
from localgce.core.settings import Settings
from localgce.machines.instant.host import InstantHost, InstantMachine
from localgce.service import Service

from .gce import ZONE, instance

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from localgce.core.store import Record

VMS = f"zones/{ZONE}/instances"


class Bench:
    """A service in this process with a short grace period, and requests to it."""

    def __init__(self, folder: Path) -> None:
        host = InstantHost(folder)
        self.service = Service(Settings(folder, "demo", folder, shutdown_grace=0.05), host)
        self.service.connect_guests(host)
        self.dispatcher = self.service.dispatcher(check_responses=True)

    async def do(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """A change: its operation when done."""
        raw = json.dumps(body or {}).encode()
        answer = await self.dispatcher.answer(method, f"projects/demo/{path}", "", raw)
        assert answer.status == 200, answer.body
        assert answer.body is not None
        kind = "zoneOperations"
        name = answer.body["name"]
        operation = self.service.store.get(kind, "demo", f"zones/{ZONE}", name)
        assert operation is not None
        return (await self.service.operations.wait(operation, 120)).body

    def instance(self, name: str) -> Record | None:
        """An instance as it is."""
        return self.service.store.get("instances", "demo", f"zones/{ZONE}", name)

    def status(self, name: str) -> str:
        """Its status."""
        found = self.instance(name)
        assert found is not None
        return str(found.body["status"])


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A bench."""
    found = Bench(tmp_path)
    await found.service.open()
    yield found
    await found.service.close(0)


fails = AsyncMock(side_effect=MachineError("no machine today"))


async def test_a_machine_that_does_not_start_fails_the_operation(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.do("POST", VMS, instance("vm"))
    await bench.do("POST", f"{VMS}/vm/stop")
    with monkeypatch.context() as patch:
        patch.setattr(InstantMachine, "start", fails)
        failed = await bench.do("POST", f"{VMS}/vm/start")
        assert failed["error"]["errors"][0]["message"] == "no machine today"
        assert failed["httpErrorStatusCode"] == 500
        assert bench.status("vm") == "TERMINATED"
        failed = await bench.do("POST", VMS, instance("new"))
        assert "error" in failed
        assert bench.instance("new") is None
        assert bench.service.store.get("disks", "demo", f"zones/{ZONE}", "new") is None
    await bench.do("POST", f"{VMS}/vm/start")
    assert bench.status("vm") == "RUNNING"


async def test_a_guest_that_ignores_the_power_button_is_powered_off(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.do("POST", VMS, instance("vm"))
    monkeypatch.setattr(InstantMachine, "power_down", AsyncMock())
    done = await bench.do("POST", f"{VMS}/vm/stop")
    assert "error" not in done
    assert bench.status("vm") == "TERMINATED"


async def test_a_machine_that_cannot_be_paused_keeps_running(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.do("POST", VMS, instance("vm"))
    monkeypatch.setattr(InstantMachine, "pause", fails)
    assert "error" in await bench.do("POST", f"{VMS}/vm/suspend")
    assert bench.status("vm") == "RUNNING"


async def test_operations_on_one_instance_run_one_after_another(bench: Bench) -> None:
    await bench.do("POST", VMS, instance("vm"))
    verbs = ["stop", "start"] * 5
    done = await asyncio.gather(*(bench.do("POST", f"{VMS}/vm/{verb}") for verb in verbs))
    assert not [operation for operation in done if "error" in operation]
    assert bench.status("vm") == "RUNNING"


async def test_hundreds_of_instances_are_created_and_deleted(bench: Bench) -> None:
    names = [f"vm-{number}" for number in range(300)]
    await asyncio.gather(*(bench.do("POST", VMS, instance(name)) for name in names))
    statuses = {bench.status(name) for name in names}
    assert statuses == {"RUNNING"}
    await asyncio.gather(*(bench.do("DELETE", f"{VMS}/{name}") for name in names))
    assert bench.service.store.all("instances") == []
    assert bench.service.store.all("disks") == []
