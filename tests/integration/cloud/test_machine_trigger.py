"""Waiting for a machine, with whatever Compute Engine leaves unanswered."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock

import pytest
from tests.support.changes import Changes
from tests.support.manifests import encode

from bakehouse.bake.packages import manifest_of
from bakehouse.bake.shutdown import classify_shutdown
from bakehouse.bake.triggers import ShutdownTrigger
from bakehouse.cloud.events import MachineSettled
from bakehouse.core.errors import PermanentError, TransientError
from bakehouse.core.reasons import Reason
from bakehouse.history.manifest import Manifest, Package
from bakehouse.smoke.triggers import SmokeTrigger

if TYPE_CHECKING:
    from bakehouse.cloud.machine_observation import MachineObservation

NONCE = "f" * 32
OK: dict[str, Any] = {"manifest": encode(Manifest((Package("bash", "5.2.15", "amd64"),)))}


def line(nonce: str = NONCE, **members: Any) -> str:
    return f"bakehouse {json.dumps({'nonce': nonce, **members})}\n"


class Hook:
    """One builder as Compute Engine shows it; each call is counted, `broken` ones fail."""

    project, endpoint, poll_interval, reads_per_minute = "p", None, 0.02, 60_000.0

    def __init__(self) -> None:
        self.status: str | None = "RUNNING"
        self.text = ""
        self.attributes: dict[str, str] = {}
        self.done: list[dict[str, Any]] = []
        self.listed = True
        self.broken: dict[str, Exception] = {}
        self.calls: Counter[str] = Counter()
        self.deleted: list[tuple[str, str, str]] = []
        self.fails = 0
        self.changes = Changes()

    def _called(self, name: str) -> None:
        self.calls[name] += 1
        self.changes.notify()
        if name in self.broken:
            raise self.broken[name]

    def instance_states(self, zone: str, filter_: str) -> list[dict[str, Any]]:
        self._called("instances")
        there = self.status is not None and self.listed
        return [{"name": "bake-1", "status": self.status}] if there else []

    def instance(self, zone: str, name: str) -> dict[str, Any] | None:
        self._called("instance")
        return {"status": self.status} if self.status else None

    def serial_output(self, zone: str, name: str, start: int) -> dict[str, Any]:
        self._called("serial_output")
        data = self.text.encode()
        start = max(0, len(data) + start) if start < 0 else start
        return {"contents": data[start:].decode(), "start": start, "next": max(start, len(data))}

    def guest_attributes(self, zone: str, name: str) -> dict[str, str]:
        self._called("guest_attributes")
        return self.attributes

    def delete_instance(self, zone: str, name: str, request_id: str) -> None:
        self.deleted.append((zone, name, request_id))
        self._called("delete_instance")
        if self.fails > 0:
            self.fails -= 1
            raise TransientError("HTTP 503")
        self.status = None

    def operations(self, zone: str) -> list[dict[str, Any]]:
        self._called("operations")
        return self.done


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Hook:
    found = Hook()
    for module in ("poller", "triggers"):
        monkeypatch.setattr(f"bakehouse.cloud.{module}.hook_of", lambda _: found)
    monkeypatch.setattr("bakehouse.cloud.triggers.FIRST_LOOK", 0.0)
    return found


@pytest.fixture
def late(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> Hook:
    """The deadline passes once Compute Engine was asked a dozen times."""

    def now() -> float:
        return time.time() + (3600 if hook.calls.total() >= 12 else 0)

    monkeypatch.setattr("bakehouse.cloud.triggers.time", SimpleNamespace(time=now))
    return hook


async def observation(
    deadline: float = 600, kind: type[Any] = ShutdownTrigger
) -> MachineObservation:
    trigger = kind(
        conn_id="gcp", zone="z", name="bake-1", nonce=NONCE, deadline=time.time() + deadline
    )
    async with asyncio.timeout(200):
        event = await anext(trigger.run())
    return MachineSettled.model_validate(event.payload["event"]).observed


async def reason_of(deadline: float = 600) -> Reason:
    verdict = classify_shutdown(await observation(deadline))
    assert verdict is not None
    return verdict.reason


async def test_a_builder_that_finished_alone_costs_one_more_read(hook: Hook) -> None:
    hook.poll_interval = 300.0  # no reads by the clock: those that are left are due to the end
    hook.text = line(stage="install") + line(**OK) + line(result="ok")
    hook.status = "TERMINATED"
    found = await observation()
    assert classify_shutdown(found) is not None
    assert found.last("result") == "ok"
    assert hook.calls["serial_output"] <= 2, "the log's own, and the last one"
    assert not hook.calls.keys() & {"instance", "guest_attributes", "operations"}


async def test_packages_come_from_the_attribute_when_their_line_is_broken(hook: Hook) -> None:
    hook.text = line(manifest="H4sIA[ 12.1] systemd: noise") + line(result="ok")
    hook.attributes, hook.status = OK, "TERMINATED"
    found = await observation()
    assert manifest_of(found) is not None
    assert hook.calls["guest_attributes"] == 1


async def test_running_machines_may_be_denied_their_attributes(hook: Hook) -> None:
    hook.broken["guest_attributes"] = PermanentError("HTTP 403")
    hook.text = line(result="ok", checks=[{"name": "page", "ok": True}])
    found = await observation(kind=SmokeTrigger)
    assert found.status == "RUNNING"
    assert found.last("result") == "ok"


async def test_the_attribute_alone_does_where_the_serial_port_is_mute(hook: Hook) -> None:
    hook.broken["serial_output"] = PermanentError("HTTP 403: the serial port is off")
    hook.attributes, hook.status = {"result": "ok"}, "TERMINATED"
    assert await reason_of() is Reason.FINISHED


async def test_the_nonce_of_another_run_is_noise(hook: Hook) -> None:
    hook.text = line("0" * 32, result="ok")
    hook.status = "TERMINATED"
    assert await reason_of() is Reason.STOPPED_SILENTLY


async def test_a_machine_that_lost_its_label_is_not_gone(hook: Hook) -> None:
    hook.text, hook.listed = line(**OK) + line(result="ok"), False
    waits = asyncio.create_task(observation())
    await asyncio.sleep(0.3)
    assert not waits.done()
    hook.status = "TERMINATED"
    found = await waits
    assert (found.status, hook.calls["instance"] > 1) == ("TERMINATED", True)


async def test_what_happened_is_waited_for_while_operations_are_not_answered(hook: Hook) -> None:
    hook.status, hook.broken["operations"] = None, TransientError("HTTP 503")
    waits = asyncio.create_task(reason_of())
    await asyncio.sleep(0.2)
    assert not waits.done()
    del hook.broken["operations"]
    hook.done = [
        {
            "name": "op-1",
            "status": "DONE",
            "operationType": "compute.instances.preempted",
            "targetLink": "https://x/instances/bake-1",
        }
    ]
    assert await waits is Reason.PREEMPTED


async def test_at_the_deadline_a_verdict_is_given_on_what_is_known(late: Hook) -> None:
    late.status, late.broken["operations"] = None, TransientError("HTTP 503")
    assert await reason_of() is Reason.VANISHED


async def test_nothing_answers_until_the_deadline(late: Hook) -> None:
    for name in ("instances", "instance", "operations", "serial_output", "guest_attributes"):
        late.broken[name] = TransientError("HTTP 503")
    assert await reason_of() is Reason.SILENT


async def test_ok_and_still_on_is_waited_for_until_the_deadline(late: Hook) -> None:
    late.text = line(**OK) + line(result="ok")
    assert await reason_of() is Reason.SILENT


async def test_what_was_said_by_attribute_counts_at_the_deadline(late: Hook) -> None:
    late.broken["serial_output"] = TransientError("HTTP 503")
    late.attributes = {"stage": "generalise"}
    verdict = classify_shutdown(await observation())
    assert verdict is not None
    assert "last stage: generalise" in verdict.message


class Crowd(Hook):
    """A thousand builders, all at work but for those in `off`."""

    poll_interval, reads_per_minute = 0.2, 600.0
    names = tuple(f"bake-{n}" for n in range(1000))

    def __init__(self) -> None:
        super().__init__()
        self.off: set[str] = set()

    def instance_states(self, zone: str, filter_: str) -> list[dict[str, Any]]:
        self._called("instances")
        return [
            {"name": name, "status": "TERMINATED" if name in self.off else "RUNNING"}
            for name in self.names
        ]

    def serial_output(self, zone: str, name: str, start: int) -> dict[str, Any]:
        self.text = line(**OK) + line(result="ok") if name in self.off else ""
        return super().serial_output(zone, name, start)


@pytest.mark.long
async def test_a_thousand_wait_for_the_price_of_the_budget_and_one_is_noticed_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    crowd = Crowd()
    for module in ("poller", "triggers"):
        monkeypatch.setattr(f"bakehouse.cloud.{module}.hook_of", lambda _: crowd)
    monkeypatch.setattr("bakehouse.cloud.triggers.FIRST_LOOK", 0.0)
    deadline, fired = time.time() + 600, {}

    async def wait_for(name: str) -> None:
        known: dict[str, Any] = {"conn_id": "gcp", "zone": "z", "name": name, "nonce": NONCE}
        trigger = ShutdownTrigger(**known, deadline=deadline)
        event = await anext(trigger.run())
        fired[name] = event.payload["event"]["observed"]

    waits = {name: asyncio.create_task(wait_for(name)) for name in crowd.names}
    begun = time.monotonic()
    await crowd.changes.until(
        lambda: crowd.calls["instances"] >= 6 and crowd.calls["serial_output"] >= 20, 120
    )
    allowed = (time.monotonic() - begun + 1) * crowd.reads_per_minute / 60 + 6
    assert crowd.calls.total() <= allowed, "list calls and logs together"
    crowd.off.add("bake-999")
    async with asyncio.timeout(120):  # behind all logs it would be after more than a minute
        await waits["bake-999"]
    assert set(fired) == {"bake-999"}
    assert fired["bake-999"]["said"][-1]["result"] == "ok"
    for task in waits.values():
        task.cancel()
    await asyncio.gather(*waits.values(), return_exceptions=True)


async def test_a_log_goes_on_when_its_place_cannot_be_noted(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: Any) -> None:
        await asyncio.sleep(0)

    async def refuse(*_: Any) -> None:
        await asyncio.sleep(0)
        raise RuntimeError("the API server does not answer")

    monkeypatch.setattr("bakehouse.triggers.supervisor_comms.get_xcom", nothing)
    monkeypatch.setattr("bakehouse.triggers.supervisor_comms.set_xcom", refuse)
    ti = SimpleNamespace(dag_id="bake__web", run_id="r")
    monkeypatch.setattr(ShutdownTrigger, "task_instance", ti, raising=False)
    hook.text, hook.status = "one\n" + line(**OK) + line(result="ok"), "TERMINATED"
    found = await observation()
    assert found.last("result") == "ok"
    assert "  │ one" in found.tail


@pytest.mark.parametrize("kind", [ShutdownTrigger, SmokeTrigger])
@pytest.mark.parametrize("fails", [0, 2])
async def test_a_killed_task_deletes_its_machine(
    hook: Hook, kind: type[Any], fails: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bakehouse.triggers.killable.TRIES", (0.0, 0.01, 0.01))
    hook.fails = fails
    trigger = kind(conn_id="gcp", zone="z", name="bake-1", nonce=NONCE, deadline=time.time() + 600)
    waiting = asyncio.create_task(anext(trigger.run()))
    await hook.changes.until(lambda: hook.calls["instances"] > 0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert hook.deleted == [], "a triggerer that stops cancels its triggers, too"
    await trigger.on_kill()
    assert hook.status is None
    assert {one[:2] for one in hook.deleted} == {("z", "bake-1")}
    assert len({request for _, _, request in hook.deleted}) == 1, "asked for once, as one change"


@pytest.mark.parametrize("kind", [ShutdownTrigger, SmokeTrigger])
@pytest.mark.parametrize(
    ("state", "deleted"),
    [
        ("deferred", False),  # another triggerer has the trigger since this one was late
        (OSError("the pipe is closed"), False),
        ("failed", True),
        ("success", True),
        (None, True),  # it is cleared
        ("queued", True),
    ],
)
async def test_a_machine_that_another_triggerer_waits_for_is_left(
    hook: Hook,
    kind: type[Any],
    state: str | Exception | None,
    deleted: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = [{"wait": state, "another": "deferred"}]
    states = AsyncMock(side_effect=state if isinstance(state, Exception) else known)
    monkeypatch.setattr("bakehouse.triggers.supervisor_comms.task_states", states)
    ti = SimpleNamespace(dag_id="bake__web", run_id="r", task_id="wait", map_index=-1)
    monkeypatch.setattr(kind, "task_instance", ti, raising=False)
    trigger = kind(conn_id="gcp", zone="z", name="bake-1", nonce=NONCE, deadline=time.time() + 600)
    await trigger.on_kill()
    states.assert_awaited_once_with("bake__web", "r", ["wait"])
    assert bool(hook.deleted) is deleted
    assert hook.calls["instance"] == int(deleted), "a machine of another is not even looked at"


@pytest.mark.parametrize(
    ("kind", "status", "attributes"),
    [
        (ShutdownTrigger, "TERMINATED", {}),
        (SmokeTrigger, "RUNNING", {"smoke": json.dumps({"result": "ok", "checks": []})}),
    ],
)
async def test_a_machine_whose_end_another_triggerer_has_told_is_left_to_the_task(
    hook: Hook, kind: type[Any], status: str, attributes: dict[str, str]
) -> None:
    hook.status, hook.attributes = status, attributes
    trigger = kind(conn_id="gcp", zone="z", name="bake-1", nonce=NONCE, deadline=0.0)
    await trigger.on_kill()
    assert hook.deleted == []


async def test_a_machine_is_deleted_although_airflow_cancels_that_again_and_again(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It repeats its request each second until the trigger has ended."""
    asked, answered = asyncio.Event(), asyncio.Event()

    async def slowly(*_: Any) -> bool:
        asked.set()
        await answered.wait()
        return False

    monkeypatch.setattr(ShutdownTrigger, "is_others_now", slowly)
    trigger = ShutdownTrigger(
        conn_id="gcp", zone="z", name="bake-1", nonce=NONCE, deadline=time.time() + 600
    )
    ending = asyncio.create_task(trigger.on_kill())
    await asked.wait()
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    assert hook.deleted == []
    answered.set()
    await hook.changes.until(lambda: hook.calls["delete_instance"] > 0)
    assert len(hook.deleted) == 1


async def test_a_machine_that_cannot_be_deleted_is_left_to_the_teardown(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bakehouse.triggers.killable.TRIES", (0.0, 0.01))
    hook.broken["delete_instance"] = PermanentError("HTTP 403")
    trigger = ShutdownTrigger(
        conn_id="gcp", zone="z", name="bake-1", nonce=NONCE, deadline=time.time() + 600
    )
    await trigger.on_kill()
    assert len(hook.deleted) == 2


def test_airflow_waits_longer_for_the_end_of_a_killed_task_than_it_takes() -> None:
    from airflow.jobs.triggerer_job_runner import _ON_CANCEL_TIMEOUT

    from bakehouse.triggers.killable import TRIES

    assert sum(TRIES) < _ON_CANCEL_TIMEOUT
