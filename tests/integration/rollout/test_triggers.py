"""The trigger that walks a member: its errors, its restarts, and what it fires."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.changes import Changes
from tests.support.fake_compute import NEW_IMAGE, OLD_DISK, Cloud
from tests.support.paths import PROJECT

from bakehouse.core.errors import (
    Blocked,
    OutcomeUnknown,
    PermanentError,
    TransientError,
    ZoneUnavailable,
)
from bakehouse.rollout import member_observer, step_operations, triggers, walk
from bakehouse.rollout.boot_pace import BootPace
from bakehouse.rollout.events import SwapEnded
from bakehouse.rollout.health import parse
from bakehouse.rollout.plan import Change, RolloutPlan
from bakehouse.rollout.rollout_disks import first_try_of
from bakehouse.rollout.soak_trigger import SoakTrigger
from bakehouse.rollout.states import Action
from bakehouse.rollout.strategies.swap import Swap, forward

NEVER = 1e11
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
        self.carried_out: set[str] = set()
        self.changes = Changes()

    def instance(self, zone: str, name: str) -> dict[str, Any]:
        self.cloud.tick()
        return self.cloud.instance()

    def disk(self, zone: str, name: str) -> dict[str, Any] | None:
        return self.cloud.disk(name)

    def guest_attributes(self, zone: str, name: str) -> dict[str, str]:
        return self.cloud.said()

    def operation(self, zone: str | None, name: str, region: str = "") -> dict[str, Any]:
        return {"name": name, "status": "DONE"}

    def operations(self, zone: str | None) -> list[dict[str, Any]]:
        link = "https://x/zones/z/instances/web-1"
        return [{"operationType": kind, "targetLink": link} for kind in self.cloud.events]

    def label_disk(self, zone: str, disk: Any, changes: Any) -> dict[str, Any]:
        known = self.cloud.disks[disk["name"]]
        known["labels"] = {**known.get("labels", {}), **changes}
        return {"name": "op", "status": "DONE"}

    def insert_disk(self, zone: str, body: Any, request_id: str) -> dict[str, Any]:
        if body["name"] == self.swap.second_disk:
            self.swap = self.swap.again(*first_try_of(body))
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
        if request_id not in self.carried_out:  # else it is answered with the old operation
            self.carried_out.add(request_id)
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
    for module in (step_operations, walk, member_observer):
        monkeypatch.setattr(module, "hook_of", lambda _: found)
    monkeypatch.setattr("bakehouse.cloud.poller.hook_of", lambda _: found)
    monkeypatch.setattr(triggers, "FIRST_LOOK", 0.0)
    monkeypatch.setattr(step_operations, "AT_FIRST", (0.0,) * 5)
    monkeypatch.setattr(walk, "LONGEST_PAUSE", 0.02)
    return found


def trigger(
    swap: Swap, deadline: float = 250.0, within: float = 250.0, first: float | None = None
) -> triggers.SwapTrigger:
    return triggers.SwapTrigger(
        swap=swap.model_dump(mode="json"),
        conn_id="gcp",
        healthy_within=within,
        deadline=time.time() + deadline,
        turn="1.0",
        first_until=None if first is None else time.time() + first,
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


async def test_the_report_of_a_member_that_boots_is_read_twice_as_often_as_the_member(
    hook: Hook, swap: Swap, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    silent: list[dict[str, str]] = [{}] * 40
    said, instance = hook.guest_attributes, hook.instance

    def report(*at: str) -> dict[str, str]:
        read.append("report")
        return silent.pop() if silent else said(*at)

    def whole(*at: str) -> dict[str, Any]:
        read.append("instance")
        return instance(*at)

    monkeypatch.setattr(hook, "guest_attributes", report)
    monkeypatch.setattr(hook, "instance", whole)
    assert (await fire(trigger(swap))).state == "replaced"
    booting = read[read.index("report") :]
    assert booting.count("report") == 41
    assert booting.count("instance") == pytest.approx(20, abs=2)
    assert booting[-2:] == ["instance", "report"], "who is healthy is looked at as a whole"


@pytest.mark.usefixtures("hook")
async def test_how_long_a_member_took_to_boot_is_known_to_those_behind_it(swap: Swap) -> None:
    known, tick = BootPace.of(f"{swap.run}/{swap.image.name}"), 2.0**-20
    assert known.pause(0, tick) == tick / 2
    assert (await fire(trigger(swap))).state == "replaced"
    assert known.pause(0, tick) == 2 * tick, "one that has just started is looked at seldom"


async def test_a_walk_begins_at_once_and_its_end_is_not_fired_too_early(
    hook: Hook, swap: Swap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triggers, "FIRST_LOOK", 3600.0)
    running = asyncio.create_task(fire(trigger(swap)))
    await hook.changes.until(lambda: bool(hook.ids_of(Action.START)))
    await asyncio.sleep(0.2)
    assert not running.done()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    monkeypatch.setattr(triggers, "FIRST_LOOK", 0.0)
    assert (await fire(trigger(swap))).state == "replaced"


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


def undo_once(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Somebody undoes the step right after its operation, the first time."""
    perform = getattr(cloud, step)
    undone: list[str] = []

    def undo(swap: Swap) -> None:
        before = cloud.boot, cloud.status
        perform(swap)
        if not undone:
            undone.append(step)
            cloud.pending.clear()
            cloud.boot, cloud.status = before
            cloud.disks.pop(swap.disk, None) if step == "_make" else None

    monkeypatch.setattr(cloud, step, undo)


@pytest.mark.parametrize(
    ("step", "action"),
    [("_make", Action.MAKE_DISK), ("_detach", Action.DETACH), ("_attach", Action.ATTACH)],
)
async def test_a_step_that_somebody_undoes_is_asked_for_again_under_another_id(
    hook: Hook, swap: Swap, cloud: Cloud, monkeypatch: pytest.MonkeyPatch, step: str, action: Action
) -> None:
    """A person deletes the new disk at that moment: the old id would be answered for ever."""
    undo_once(cloud, monkeypatch, step)
    event = await fire(trigger(swap, deadline=60.0))
    assert event.state == "replaced", event.why
    first, second = hook.ids_of(action)
    assert first != second
    assert cloud.stops == 1


async def test_a_walk_that_begins_anew_passes_by_the_ids_whose_operations_have_ended(
    hook: Hook, swap: Swap, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is asked for after a kill is asked for with the id that was open then."""
    undo_once(cloud, monkeypatch, "_make")
    insert = hook.insert_disk

    def insert_and_die(zone: str, body: Any, request_id: str) -> dict[str, Any]:
        insert(zone, body, request_id)
        if len(hook.ids_of(Action.MAKE_DISK)) == 2:
            raise asyncio.CancelledError
        return {"name": "op", "status": "DONE"}

    hook.insert_disk = insert_and_die  # type: ignore[method-assign]
    with pytest.raises(asyncio.CancelledError):
        await fire(trigger(swap))
    del cloud.disks[swap.disk]  # once more, while nobody looks
    assert (await fire(trigger(swap, deadline=60.0))).state == "replaced"
    first, second, *again = hook.ids_of(Action.MAKE_DISK)
    assert again[:2] == [first, second], "each is answered with the operation that it had"
    assert len(set(again)) == 3


async def test_a_member_that_somebody_starts_while_it_is_stopped_is_not_stopped_twice(
    hook: Hook, swap: Swap, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    undo_once(cloud, monkeypatch, "_stop")
    event = await fire(trigger(swap))
    assert (event.state, event.cause) == (None, "gone")
    assert "somebody else changes the instance" in event.why
    assert len(hook.ids_of(Action.STOP)) == 1


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
    assert len(hook.asked) == walk.ERRORS_IN_A_ROW


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


SECOND = "web-1-87654321"
LATE = -36_000.0  # whoever has not reported at once is late


@pytest.fixture
def twice(swap: Swap, hook: Hook) -> Swap:
    """A swap with a second try."""
    hook.swap = swap.model_copy(update={"second_disk": SECOND})
    hook.cloud.prompt = True
    return hook.swap


async def test_a_silent_boot_is_tried_once_more_on_a_fresh_disk(
    hook: Hook, twice: Swap, cloud: Cloud
) -> None:
    cloud.silent = {CHANGE.disk}
    event = await fire(trigger(twice, within=LATE))
    assert (event.state, event.cause, event.disk) == ("replaced", None, SECOND)
    assert event.first_try.startswith("no report since the restart")
    assert (cloud.boot, cloud.status, cloud.stops) == (SECOND, "RUNNING", 2)
    assert {"web-1", CHANGE.disk, SECOND} <= cloud.disks.keys()
    assert len({*hook.ids_of(Action.STOP), *hook.ids_of(Action.START)}) == 4


async def test_a_member_that_is_silent_twice_is_not_tried_a_third_time(
    hook: Hook, twice: Swap, cloud: Cloud
) -> None:
    cloud.silent = {CHANGE.disk, SECOND}
    event = await fire(trigger(twice, within=LATE))
    assert (event.state, event.cause, event.disk) == ("unhealthy", "silent", SECOND)
    assert event.first_try
    assert len(hook.ids_of(Action.MAKE_DISK)) == 2


@pytest.mark.parametrize(
    "refused",
    [Blocked("no quota of disks", wait=300.0), PermanentError("forbidden")],
    ids=["quota", "forbidden"],
)
async def test_where_no_second_disk_can_be_made_the_first_end_stands_at_once(
    hook: Hook, twice: Swap, cloud: Cloud, refused: Exception
) -> None:
    cloud.silent = {CHANGE.disk}
    insert = hook.insert_disk

    def no_second(zone: str, body: Any, request_id: str) -> dict[str, Any]:
        if body["name"] == SECOND:
            raise refused
        return insert(zone, body, request_id)

    hook.insert_disk = no_second  # type: ignore[method-assign]
    event = await fire(trigger(twice, within=LATE))
    assert (event.state, event.cause, event.disk) == ("unhealthy", "silent", CHANGE.disk)
    assert event.why.endswith(f"; there was no second try: {refused}")
    assert (event.first_try, cloud.stops) == ("", 1)


async def test_what_the_image_says_itself_is_not_tried_again(
    hook: Hook, twice: Swap, cloud: Cloud
) -> None:
    cloud.says = "unhealthy"
    event = await fire(trigger(twice))
    assert (event.state, event.cause, event.first_try) == ("unhealthy", "said_unhealthy", "")
    assert cloud.stops == 1
    assert len(hook.ids_of(Action.MAKE_DISK)) == 1


async def test_a_host_that_is_lost_twice_in_a_boot_is_not_the_images(
    hook: Hook, twice: Swap, cloud: Cloud
) -> None:
    cloud.lost = {CHANGE.disk}
    event = await fire(trigger(twice))
    assert (event.state, event.disk) == ("replaced", SECOND)
    assert event.first_try == "it stopped 2 times while it booted"
    assert (cloud.stops, len(hook.ids_of(Action.START))) == (1, 3), "it was off: nothing to stop"


async def test_a_second_host_that_is_lost_is_still_not_the_images(
    hook: Hook, twice: Swap, cloud: Cloud
) -> None:
    cloud.lost = {CHANGE.disk, SECOND}
    event = await fire(trigger(twice))
    assert (event.state, event.cause) == ("unhealthy", "host_lost")
    assert len(hook.ids_of(Action.MAKE_DISK)) == 2


async def test_a_zone_without_capacity_is_asked_once_more_with_a_fresh_disk(
    hook: Hook, twice: Swap, cloud: Cloud
) -> None:
    refusals = walk.ERRORS_IN_A_ROW
    hook.refuse[Action.START] = [ZoneUnavailable("no capacity") for _ in range(refusals)]
    event = await fire(trigger(twice))
    assert (event.state, event.disk, event.first_try) == ("replaced", SECOND, "no capacity")
    assert cloud.stops == 1


async def test_a_zone_that_stays_full_ends_the_try_of_the_task_and_blames_nobody(
    hook: Hook, twice: Swap
) -> None:
    hook.refuse[Action.START] = [ZoneUnavailable("no capacity") for _ in range(99)]
    event = await fire(trigger(twice))
    assert (event.transient, event.state, event.cause) == (True, None, "stock_out")
    assert event.disk == SECOND


@pytest.mark.parametrize("status", ["FAILED", "DELETING", None])
async def test_a_new_disk_that_cannot_be_used_is_replaced_by_a_fresh_one(
    twice: Swap, cloud: Cloud, status: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that somebody deletes while the member is off."""

    def breaks(swap: Swap) -> None:
        if swap.disk == SECOND:
            cloud.boot = swap.disk
        elif status is None:
            del cloud.disks[swap.disk]
        else:
            cloud.disks[swap.disk]["status"] = status
        if swap.disk != SECOND:
            raise TransientError("the disk is not there")

    monkeypatch.setattr(cloud, "_attach", breaks)
    event = await fire(trigger(twice))
    assert (event.state, event.disk, cloud.boot) == ("replaced", SECOND, SECOND)
    assert cloud.stops == 1
    assert event.first_try


async def test_a_disk_that_is_never_ready_ends_the_first_try_in_time(
    twice: Swap, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = cloud._make

    def creating(swap: Swap) -> None:
        make(swap)
        if swap.disk != SECOND:
            cloud.pending.clear()

    monkeypatch.setattr(cloud, "_make", creating)
    event = await fire(trigger(twice, first=0.2))
    assert (event.state, event.disk) == ("replaced", SECOND)
    assert "its next disk is being made" in event.first_try


@pytest.mark.parametrize("step", [Action.STOP, Action.DETACH, Action.ATTACH, Action.START])
async def test_a_trigger_that_is_killed_in_the_second_try_goes_on_with_it(
    hook: Hook, twice: Swap, cloud: Cloud, step: Action
) -> None:
    cloud.silent = {CHANGE.disk}
    running = asyncio.create_task(fire(trigger(twice, within=LATE)))
    nth = 1 if step is Action.MAKE_DISK else 2
    await hook.changes.until(lambda: len(hook.ids_of(step)) == nth)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    event = await fire(trigger(twice, within=LATE))
    assert (event.state, event.disk, cloud.stops) == ("replaced", SECOND, 2)
    assert event.first_try.startswith("no report since the restart")
    assert len(hook.ids_of(Action.MAKE_DISK)) == 2


async def test_a_report_that_came_too_late_is_not_taken_for_the_second_boots(
    hook: Hook, twice: Swap, cloud: Cloud
) -> None:
    """The first boot's report arrives while the second disk is made; the second says nothing."""
    cloud.silent = {CHANGE.disk, SECOND}
    insert = hook.insert_disk

    def late(zone: str, body: Any, request_id: str) -> dict[str, Any]:
        if body["name"] == SECOND:
            cloud.says = "unhealthy"
            cloud._say("web-new")
        return insert(zone, body, request_id)

    hook.insert_disk = late  # type: ignore[method-assign]
    event = await fire(trigger(twice, within=LATE))
    assert (event.state, event.cause, event.disk) == ("unhealthy", "silent", SECOND)


async def test_a_member_in_other_hands_is_left_to_them(twice: Swap, cloud: Cloud) -> None:
    cloud.status = "SUSPENDED"
    event = await fire(trigger(twice))
    assert (event.state, event.cause, event.first_try) == ("lost", "gone", "")
    assert cloud.stops == 0


STORED = sorted((PROJECT / "tests/unit/rollout/stored").glob("schema-*.json"))


@pytest.fixture(params=STORED, ids=lambda path: path.stem)
def stored_form(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(request.param.read_text())
    return found


async def test_a_member_in_mid_swap_goes_on_with_what_an_older_version_has_stored(
    hook: Hook, cloud: Cloud, stored_form: dict[str, Any]
) -> None:
    stored = stored_form["swap_trigger"]
    cloud.disks["web-1"]["id"] = stored["swap"]["old"]["id"]
    hook.swap = Swap.model_validate(stored["swap"])
    running = asyncio.create_task(fire(triggers.SwapTrigger(**{**stored, "deadline": NEVER})))
    await hook.changes.until(lambda: bool(hook.ids_of(Action.DETACH)))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    event = await fire(triggers.SwapTrigger(**{**stored, "deadline": NEVER}))
    assert (event.state, cloud.boot, cloud.stops) == ("replaced", stored["swap"]["disk"], 1)


def test_a_watch_goes_on_with_what_an_older_version_has_stored(
    stored_form: dict[str, Any],
) -> None:
    stored = stored_form["soak_trigger"]
    found = SoakTrigger(**stored).serialize()[1]
    assert {key: found[key] for key in stored} == stored
