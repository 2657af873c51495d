"""The walk of one member: to its goal from every point of interruption, one stop at the most."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.examples import examples
from tests.support.fake_compute import NEW_IMAGE, OLD_DISK, OLD_IMAGE, Cloud, Crash

from bakehouse.rollout.boot_disks import old_disk_labels, restored_labels
from bakehouse.rollout.health import Health, parse
from bakehouse.rollout.moves import move
from bakehouse.rollout.observation import read
from bakehouse.rollout.plan import Change, RolloutPlan
from bakehouse.rollout.rollout_disks import remember
from bakehouse.rollout.states import ACTIONS, FINAL, Action, Consent, Disk, Resumed, State
from bakehouse.rollout.strategies.swap import Swap, back, forward, is_touched, observe

WITHIN = timedelta(seconds=120)
CHANGE = Change(name="web-1", zone="z", id="7", disk="web-1-12345678", old=OLD_DISK)
PLAN = RolloutPlan(fleet="web", run="run", image=NEW_IMAGE, stages=((CHANGE,),))


def new_swap(cloud: Cloud) -> Swap:
    return forward(PLAN, CHANGE, parse(cloud.said()["health"]))


class Walker:
    """What the trigger does, without Airflow; `crashes` are the looks after which it is killed."""

    def __init__(self, cloud: Cloud, swap: Swap) -> None:
        self.cloud, self.swap, self.state = cloud, swap, None
        self.consent, self.resumed = Consent.UNKNOWN, Resumed.NOT_YET  # lost with the trigger
        self.asked: list[Action] = []

    def walk(self, crash_at: int | None = None, lose: bool = False) -> State:
        state: State | None = None
        for turn in range(400):
            state = move(state, self.look())
            step = ACTIONS[state]
            if state in FINAL:
                return state
            if turn == crash_at and not lose:
                raise Crash
            if step in {Action.ASK, Action.DRAIN, Action.RESUME}:
                self.ask(step)
            elif step is not Action.WAIT:
                self.cloud.perform(step, self.swap)
            if turn == crash_at:
                raise Crash  # after the effect, before the answer
            self.wait(step)
        raise AssertionError(f"no end: {state}")

    def look(self) -> State:
        cloud = self.cloud
        disk = cloud.disk(self.swap.disk)
        seen = observe(self.swap, cloud.instance(), disk, cloud.said())
        seen = replace(seen, consent=self.consent, resumed=self.resumed)
        return read(seen, self.swap.goal(WITHIN), cloud.now)

    def ask(self, step: Action) -> None:
        self.asked.append(step)
        if step is Action.RESUME:
            self.resumed = Resumed.DONE
        else:
            self.consent = Consent.GATES_OPEN if step is Action.ASK else Consent.GIVEN

    def wait(self, step: Action) -> None:
        """Until the operation of a step is done, as the trigger does; a plain wait is one tick."""
        self.cloud.tick()
        while step is not Action.WAIT and self.cloud.pending and step is not Action.START:
            self.cloud.tick()


def test_a_report_of_the_old_image_is_no_report_of_a_new_one_with_its_very_name() -> None:
    """A -> B -> A by name: the old image was deleted, and another one has got its name."""
    old = OLD_DISK.model_copy(update={"image": NEW_IMAGE.self_link, "image_id": "100"})
    change = CHANGE.model_copy(update={"old": old})
    report = parse(json.dumps({"state": "healthy", "image": NEW_IMAGE.name, "boot_id": "b1"}))
    assert forward(PLAN, change, report, moved=False).before == "b1", "that boot does not count"
    assert forward(PLAN, change, report, moved=True).before is None, "an earlier try got there"


def test_a_member_is_swapped_in_order_and_stopped_once() -> None:
    cloud = Cloud(lag=1)
    walker = Walker(cloud, new_swap(cloud))
    assert walker.walk() is State.REPLACED
    assert walker.asked == [Action.ASK, Action.DRAIN, Action.RESUME]
    assert (cloud.boot, cloud.status) == (CHANGE.disk, "RUNNING")
    assert (cloud.stops, cloud.starts, cloud.refused) == (1, 1, [])
    assert {"web-1", "data"} <= cloud.disks.keys()  # the old one is kept, the data's untouched


def test_the_new_disk_is_like_the_old_one_and_says_whose_it_is() -> None:
    cloud = Cloud()
    Walker(cloud, new_swap(cloud)).walk()
    made = cloud.disks[CHANGE.disk]
    assert (made["type"], made["sizeGb"]) == (OLD_DISK.type, "10")
    assert made["labels"]["team"] == "web"
    assert made["labels"]["bakehouse-member"] == "web-1"
    assert int(made["labels"]["expires"]) > cloud.now.timestamp()


@examples(300)
@given(
    crashes=st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=4),
    lag=st.integers(0, 3),
    meanwhile=st.integers(0, 8),
)
def test_any_interruption_is_walked_on_from(
    crashes: list[tuple[int, bool]], lag: int, meanwhile: int
) -> None:
    cloud = Cloud(lag=lag)
    swap = new_swap(cloud)
    for at, lose in crashes:
        try:
            Walker(cloud, swap).walk(at, lose)
        except Crash:
            for _ in range(meanwhile):
                cloud.tick()
    assert Walker(cloud, swap).walk() is State.REPLACED
    assert cloud.stops == 1
    assert (cloud.boot, cloud.status) == (swap.disk, "RUNNING")
    assert cloud.disks["web-1"]["status"] == "READY"


@examples(300)
@given(
    forward_until=st.integers(0, 14),
    lose=st.booleans(),
    crashes=st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=3),
    kept=st.booleans(),
    lag=st.integers(0, 3),
)
def test_the_way_back_leads_home_from_wherever_the_way_there_ended(
    forward_until: int, lose: bool, crashes: list[tuple[int, bool]], kept: bool, lag: int
) -> None:
    cloud = Cloud(lag=lag, healthy=False)
    there = new_swap(cloud)
    try:
        Walker(cloud, there).walk(forward_until, lose)
    except Crash:
        while cloud.pending:
            cloud.tick()
    if not is_touched(cloud.instance(), OLD_DISK):
        assert (cloud.stops, cloud.boot) == (0, "web-1")
        return
    if not kept and cloud.boot != "web-1":
        del cloud.disks["web-1"]  # the stage had passed
    here = back(there, OLD_IMAGE, kept=kept, health=parse(cloud.said()["health"]))
    stopped = cloud.stops
    for at, lost in crashes:
        try:
            Walker(cloud, here).walk(at, lost)
        except Crash:
            cloud.tick()
    assert Walker(cloud, here).walk() is State.REPLACED
    assert cloud.stops <= stopped + 1
    assert (cloud.boot, cloud.health["image"]) == (here.disk, "web-old")
    assert cloud.health["boot_id"] != "boot-1"


def test_a_report_of_before_the_stop_is_not_believed() -> None:
    cloud = Cloud(healthy=False)
    Walker(cloud, new_swap(cloud)).walk()
    here = back(new_swap(cloud), OLD_IMAGE, kept=True, health=parse(cloud.said()["health"]))
    assert here.before == "boot-1"
    walker = Walker(cloud, here)
    cloud.boot, cloud.status, cloud.started = "web-1", "RUNNING", cloud.now
    assert cloud.health["image"] == "web-old"
    assert walker.look() is State.BOOTING


def test_a_member_that_stays_silent_is_unhealthy_when_its_time_is_over() -> None:
    cloud = Cloud(healthy=False)
    assert Walker(cloud, new_swap(cloud)).walk() is State.UNHEALTHY
    assert cloud.now - cloud.started > WITHIN


def test_a_member_that_says_it_is_unhealthy_is_believed_at_once() -> None:
    cloud = Cloud(healthy=False)
    swap = new_swap(cloud)
    with pytest.raises(Crash):
        Walker(cloud, swap).walk(9)
    cloud.health = {"state": "unhealthy", "image": "web-new", "boot_id": "boot-9"}
    assert Walker(cloud, swap).walk() is State.UNHEALTHY
    assert cloud.now - cloud.started < WITHIN


def test_an_instance_that_was_made_anew_is_left_alone() -> None:
    cloud = Cloud()
    swap = new_swap(cloud).model_copy(update={"id": "8"})
    assert Walker(cloud, swap).walk() is State.LOST
    assert cloud.stops == 0


def test_a_disk_of_another_image_is_never_attached() -> None:
    cloud = Cloud()
    cloud.disks[CHANGE.disk] = {"name": CHANGE.disk, "sourceImageId": "999", "status": "READY"}
    assert Walker(cloud, new_swap(cloud)).walk() is State.LOST
    assert cloud.stops == 0


# -- the old disk ----------------------------------------------------------------------------------

RESTORED = OLD_DISK.model_copy(
    update={"id": "5", "image": "", "image_id": "", "made_of": "the snapshot s"}
)


def restored(health: str = "web-old") -> Swap:
    report = Health(state="healthy", image=health, boot_id="boot-1") if health else None
    change = CHANGE.model_copy(update={"old": RESTORED, "only_disk": "it was made of a snapshot"})
    return forward(PLAN, change, report)


def test_a_restored_disk_is_the_goal_of_the_way_back_and_must_report_what_it_did() -> None:
    here = back(restored(), None, kept=True, health=None)
    assert (here.disk, here.image.name, here.goal(WITHIN).image) == ("web-1", "web-old", "web-old")
    silent = back(restored(""), None, kept=True, health=None)
    assert silent.goal(WITHIN).image is None
    cloud = Cloud()
    cloud.disks["web-1"] = {"name": "web-1", "id": "5", "status": "READY"}
    seen = observe(here, cloud.instance(), cloud.disk("web-1"), {})
    assert seen.goal_disk is Disk.READY
    cloud.disks["web-1"]["id"] = "6"
    seen = observe(here, cloud.instance(), cloud.disk("web-1"), {})
    assert seen.goal_disk is Disk.TAKEN


def test_an_old_disk_says_whose_it_is_and_expires_unless_nothing_can_make_it_again() -> None:
    cloud = Cloud()
    mine = {"labels": {"team": "web"}}
    told = old_disk_labels(new_swap(cloud), mine, cloud.now)
    assert told == {
        "bakehouse-recipe": "web",
        "bakehouse-run": "run",
        "bakehouse-role": "previous",
        "bakehouse-fleet": "web",
        "bakehouse-member": "web-1",
        "expires": str(int((cloud.now + timedelta(days=7)).timestamp())),
    }
    assert old_disk_labels(new_swap(cloud), {"labels": told}, cloud.now + WITHIN) == {}
    told = old_disk_labels(restored(), {"labels": told}, cloud.now)
    assert told == {"expires": None}
    assert "expires" not in old_disk_labels(restored(), mine, cloud.now)


def test_a_member_that_has_its_disk_back_has_it_as_it_was() -> None:
    cloud = Cloud()
    told = {"team": "web", **old_disk_labels(new_swap(cloud), {}, cloud.now)}
    undone = restored_labels({"labels": told}, "run", cloud.now)
    assert {k: v for k, v in {**told, **undone}.items() if v is not None} == {"team": "web"}
    assert restored_labels({"labels": told}, "another run", cloud.now) == {}
    assert restored_labels({"labels": {"team": "web"}}, "run", cloud.now) == {}
    ours = {"labels": told, "description": remember(OLD_DISK)}
    undone = restored_labels(ours, "run", cloud.now)
    assert (undone["bakehouse-role"], len(undone)) == ("member", 2)
