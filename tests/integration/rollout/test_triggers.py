"""The trigger that walks a member: its errors, its restarts, and what it fires."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.changes import Changes
from tests.support.fake_compute import NEW_IMAGE, OLD_DISK, Cloud

from bakehouse.core.errors import Blocked, OutcomeUnknown, PermanentError, TransientError
from bakehouse.rollout import triggers
from bakehouse.rollout.events import SwapEnded
from bakehouse.rollout.health import parse
from bakehouse.rollout.plan import Change, RolloutPlan
from bakehouse.rollout.states import Action
from bakehouse.rollout.strategies.swap import Swap, forward

CHANGE = Change(name="web-1", zone="z", id="7", disk="web-1-12345678", old=OLD_DISK)
PLAN = RolloutPlan(fleet="web", run="run", image=NEW_IMAGE, stages=((CHANGE,),))


class Hook:
    """The hook's calls on the fake cloud; `refuse` is raised by the call that it is asked for."""

    project, endpoint, poll_interval, reads_per_minute = "p", None, 0.01, 1e9

    def __init__(self, cloud: Cloud, swap: Swap) -> None:
        self.cloud, self.swap = cloud, swap
        self.refuse: dict[Action, list[Exception]] = {}
        self.after: dict[Action, list[Exception]] = {}
        self.asked: list[tuple[Action, str]] = []
        self.changes = Changes()

    def instance(self, zone: str, name: str) -> dict[str, Any]:
        self.cloud.tick()
        return self.cloud.instance()

    def disk(self, zone: str, name: str) -> dict[str, Any] | None:
        return self.cloud.disk(name)

    def guest_attributes(self, zone: str, name: str) -> dict[str, str]:
        return self.cloud.said()

    def operation(self, zone: str | None, name: str) -> dict[str, Any]:
        return {"name": name, "status": "DONE"}

    def label_disk(self, zone: str, disk: Any, changes: Any) -> dict[str, Any]:
        known = self.cloud.disks[disk["name"]]
        known["labels"] = {**known.get("labels", {}), **changes}
        return {"name": "op", "status": "DONE"}

    def insert_disk(self, zone: str, body: Any, request_id: str) -> dict[str, Any]:
        return self._do(Action.MAKE_DISK, request_id)

    def stop_instance(self, zone: str, name: str, request_id: str) -> dict[str, Any]:
        return self._do(Action.STOP, request_id)

    def detach_disk(self, zone: str, name: str, device: str, request_id: str) -> dict[str, Any]:
        assert device == "persistent-disk-0"
        return self._do(Action.DETACH, request_id)

    def attach_disk(self, zone: str, name: str, body: Any, request_id: str) -> dict[str, Any]:
        return self._do(Action.ATTACH, request_id)

    def start_instance(self, zone: str, name: str, request_id: str) -> dict[str, Any]:
        return self._do(Action.START, request_id)

    def _do(self, step: Action, request_id: str) -> dict[str, Any]:
        self.asked.append((step, request_id))
        self.changes.notify()
        if self.refuse.get(step):
            raise self.refuse[step].pop(0)
        self.cloud.perform(step, self.swap)
        if self.after.get(step):
            raise self.after[step].pop(0)
        return {"name": "op", "status": "RUNNING", "operationType": str(step)}

    def ids_of(self, step: Action) -> list[str]:
        return [request_id for asked, request_id in self.asked if asked is step]


@pytest.fixture
def cloud() -> Cloud:
    now = datetime.now(UTC)
    return Cloud(now=now, started=now)


@pytest.fixture
def swap(cloud: Cloud) -> Swap:
    return forward(PLAN, CHANGE, parse(cloud.said()["health"]))


@pytest.fixture
def hook(cloud: Cloud, swap: Swap, monkeypatch: pytest.MonkeyPatch) -> Hook:
    found = Hook(cloud, swap)
    monkeypatch.setattr(triggers, "hook_of", lambda _: found)
    monkeypatch.setattr("bakehouse.cloud.poller.hook_of", lambda _: found)
    monkeypatch.setattr(triggers, "FIRST_LOOK", 0.0)
    monkeypatch.setattr(triggers, "AT_FIRST", (0.0,) * 5)
    monkeypatch.setattr(triggers, "LONGEST_PAUSE", 0.02)
    return found


def trigger(swap: Swap, deadline: float = 250.0, within: float = 250.0) -> triggers.SwapTrigger:
    return triggers.SwapTrigger(
        swap=swap.model_dump(mode="json"),
        conn_id="gcp",
        healthy_within=within,
        deadline=time.time() + deadline,
        turn="1.0",
    )


async def fire(found: triggers.SwapTrigger) -> SwapEnded:
    events = [event async for event in found.run()]
    assert len(events) == 1
    return SwapEnded.model_validate(events[0].payload["event"])


async def test_a_member_is_walked_to_its_goal(hook: Hook, swap: Swap, cloud: Cloud) -> None:
    event = await fire(trigger(swap))
    assert (event.state, event.why) == ("replaced", "healthy")
    steps = [step for step, _ in hook.asked]
    assert steps == [Action.MAKE_DISK, Action.STOP, Action.DETACH, Action.ATTACH, Action.START]
    assert cloud.stops == 1
    old = cloud.disks["web-1"]["labels"]
    assert (old["bakehouse-role"], old["bakehouse-member"]) == ("previous", "web-1")
    assert int(old["expires"]) > cloud.now.timestamp()


async def test_the_disk_of_a_member_that_boots_is_not_read_again(
    hook: Hook, swap: Swap, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    silent: list[dict[str, str]] = [{}] * 20
    said = hook.guest_attributes

    def disk(_: str, name: str) -> dict[str, Any] | None:
        read.append(name)
        return cloud.disk(name)

    monkeypatch.setattr(hook, "disk", disk)
    monkeypatch.setattr(hook, "guest_attributes", lambda *at: silent.pop() if silent else said(*at))
    assert (await fire(trigger(swap))).state == "replaced"
    assert not silent, "it was asked again and again while it booted"
    assert len(read) < 15, "once in each state, and by the steps"
    read.clear()
    assert (await fire(trigger(swap))).state == "replaced"
    assert read == [swap.disk], "a walk that begins in the middle checks the disk"


def test_it_is_stored_and_made_again_as_it_was(swap: Swap) -> None:
    found = trigger(swap)
    path, arguments = found.serialize()
    assert path == "bakehouse.rollout.triggers.SwapTrigger"
    assert triggers.SwapTrigger(**arguments).serialize() == (path, arguments)


@pytest.mark.parametrize("step", [Action.STOP, Action.DETACH, Action.ATTACH, Action.START])
async def test_an_answer_that_got_lost_is_looked_after_not_repeated(
    hook: Hook, swap: Swap, cloud: Cloud, step: Action
) -> None:
    hook.after[step] = [OutcomeUnknown("no answer")]
    assert (await fire(trigger(swap))).state == "replaced"
    assert len(hook.ids_of(step)) == 1
    assert cloud.stops == 1


async def test_a_request_that_got_lost_is_sent_again_under_the_same_id(
    hook: Hook, swap: Swap
) -> None:
    hook.refuse[Action.STOP] = [OutcomeUnknown("no answer")]
    assert (await fire(trigger(swap))).state == "replaced"
    first, second = hook.ids_of(Action.STOP)
    assert first == second


async def test_a_refused_step_is_asked_for_again_under_another_id(hook: Hook, swap: Swap) -> None:
    hook.refuse[Action.ATTACH] = [Blocked("quota", wait=0.01), PermanentError("in use")]
    assert (await fire(trigger(swap))).state == "replaced"
    assert len(set(hook.ids_of(Action.ATTACH))) == 3


async def test_a_restarted_trigger_sends_the_same_ids(hook: Hook, swap: Swap, cloud: Cloud) -> None:
    running = asyncio.create_task(fire(trigger(swap)))
    await hook.changes.until(lambda: bool(hook.ids_of(Action.STOP)))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await fire(trigger(swap))).state == "replaced"
    assert len(set(hook.ids_of(Action.STOP))) == 1
    assert cloud.stops == 1


async def test_what_no_try_can_heal_ends_the_walk(hook: Hook, swap: Swap, cloud: Cloud) -> None:
    hook.refuse[Action.STOP] = [PermanentError("forbidden")] * 5
    event = await fire(trigger(swap))
    assert (event.transient, event.why) == (False, "forbidden")
    assert len(hook.ids_of(Action.STOP)) == 2
    assert cloud.stops == 0


async def test_errors_that_stay_end_the_try(hook: Hook, swap: Swap) -> None:
    hook.refuse[Action.MAKE_DISK] = [TransientError("503")] * 50
    event = await fire(trigger(swap))
    assert (event.transient, event.why) == (True, "503")
    assert len(hook.asked) == triggers.ERRORS_IN_A_ROW


@pytest.mark.usefixtures("hook")
async def test_a_walk_ends_at_its_deadline(swap: Swap, cloud: Cloud) -> None:
    cloud.status = "STOPPING"  # and stays so: nobody asked for it
    event = await fire(trigger(swap, deadline=0.3))
    assert event.transient
    assert "its deadline has passed" in event.why


@pytest.mark.usefixtures("hook")
async def test_who_else_moves_the_member_stops_the_walk(
    swap: Swap, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meddle(_: Swap) -> None:
        cloud.boot, cloud.status = "web-1", "RUNNING"

    monkeypatch.setattr(cloud, "_attach", meddle)
    event = await fire(trigger(swap))
    assert event.state is None
    assert not event.transient
    assert "somebody else changes" in event.why


@pytest.mark.usefixtures("hook")
async def test_unhealthy_is_said_with_the_guests_own_words(swap: Swap, cloud: Cloud) -> None:
    cloud.healthy = False
    event = await fire(trigger(swap, within=-60.0))
    assert event.state == "unhealthy"
    assert "no report since the restart" in event.why
