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
from localgce.metadata.tree import instance_tree
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


async def until(bench: Bench, status: str) -> None:
    """Wait until `vm` has the status."""
    found = bench.instance("vm")
    assert found is not None
    async with asyncio.timeout(60):
        while bench.status("vm") != status:
            await bench.service.core.changes.wait(f"status/{found.id}")


def kinds(bench: Bench) -> list[str]:
    """The types of the operations of the zone."""
    return [r.body["operationType"] for r in bench.service.store.all("zoneOperations")]


async def kill(bench: Bench) -> None:
    """End the machine of `vm` as a failing host does."""
    found = bench.instance("vm")
    assert found is not None
    machine = bench.service.lifecycle.find(found)
    assert machine is not None
    await machine.kill()


async def test_a_machine_that_its_host_killed_is_started_again(bench: Bench) -> None:
    await bench.do("POST", VMS, instance("vm"))
    before = bench.instance("vm")
    await kill(bench)
    await until(bench, "RUNNING")
    after = bench.instance("vm")
    assert before is not None
    assert after is not None
    assert after.id == before.id
    assert {"compute.instances.hostError", "compute.instances.automaticRestart"} <= set(
        kinds(bench)
    )


@pytest.mark.parametrize(
    "more",
    [
        {"scheduling": {"automaticRestart": False}},
        # its group creates it anew
        {"metadata": {"items": [{"key": "created-by", "value": "projects/demo/zones/z/g/g"}]}},
    ],
)
async def test_who_is_not_to_be_restarted_stays_terminated(
    bench: Bench, more: dict[str, Any]
) -> None:
    await bench.do("POST", VMS, {**instance("vm"), **more})
    await kill(bench)
    assert bench.status("vm") == "TERMINATED"
    await asyncio.sleep(0)
    assert "compute.instances.automaticRestart" not in kinds(bench)
    await bench.do("POST", f"{VMS}/vm/start")
    assert bench.status("vm") == "RUNNING"


async def test_a_closing_server_waits_for_its_guests_until_it_is_hurried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    await bench.service.open()
    await bench.do("POST", VMS, instance("vm"))
    monkeypatch.setattr(InstantMachine, "power_down", AsyncMock())
    closing = asyncio.create_task(bench.service.close(3600))
    await until(bench, "STOPPING")
    assert not closing.done()
    bench.service.lifecycle.hurry()
    await asyncio.wait_for(closing, 60)
    assert bench.status("vm") == "TERMINATED"


async def test_a_resumed_guest_is_told_that_its_clock_is_behind(bench: Bench) -> None:
    await bench.do("POST", VMS, instance("vm"))
    tokens = []
    for verb in ("suspend", "resume", "suspend", "resume"):
        await bench.do("POST", f"{VMS}/vm/{verb}")
        found, project = bench.instance("vm"), bench.service.core.project_record("demo")
        assert found is not None
        tree = instance_tree(bench.service.store, found, project)
        tokens.append(tree["virtualClock"]["driftToken"])
    assert tokens == ["0", "1", "1", "2"]
