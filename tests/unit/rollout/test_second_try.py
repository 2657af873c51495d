"""A member's own failure and its image's: what is tried once more, and what is blamed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bakehouse.rollout.health import Health
from bakehouse.rollout.observation import Goal, MemberObservation
from bakehouse.rollout.second_try import (
    OF_THE_IMAGE,
    TRIED_AGAIN,
    Cause,
    cause_of,
    late_in,
    stopped_while_it_booted,
    taken_away,
)
from bakehouse.rollout.states import Disk, Resumed, State, Strategy

GOAL = Goal("7", "web-1-new", "web-new", "boot-1", timedelta(minutes=5))
WELL = Health(state="healthy", image="web-new", boot_id="boot-2")
BUSY = Health(state="busy", image="web-new", boot_id="boot-2", detail="busy: 1 of 9")
ILL = Health(state="unhealthy", image="web-new", boot_id="boot-2", detail="its disk is full")


def observed(**fields: Any) -> MemberObservation:
    return MemberObservation(**{"instance_id": "7", "boot_disk": "web-1-new", **fields})


@pytest.mark.parametrize(
    ("state", "found", "stops", "cause"),
    [
        (State.UNHEALTHY, observed(health=ILL), 0, Cause.SAID_UNHEALTHY),
        (State.UNHEALTHY, observed(health=ILL), 2, Cause.SAID_UNHEALTHY),
        (State.UNHEALTHY, observed(health=BUSY), 0, Cause.SAID_UNHEALTHY),
        (State.UNHEALTHY, observed(health=WELL, resumed=Resumed.FAILED), 0, Cause.NOT_RESUMED),
        (State.UNHEALTHY, observed(), 0, Cause.SILENT),
        (State.UNHEALTHY, observed(), 1, Cause.SILENT),
        (State.UNHEALTHY, observed(), 2, Cause.POWERED_OFF),
        (State.LOST, observed(goal_disk=Disk.TAKEN), 0, Cause.NO_DISK),
        (State.LOST, observed(goal_disk=Disk.BROKEN), 0, Cause.NO_DISK),
        (State.LOST, observed(status="SUSPENDED"), 0, Cause.GONE),
        (State.LOST, observed(instance_id=None, goal_disk=Disk.TAKEN), 0, Cause.GONE),
        (State.LOST, observed(instance_id="8"), 0, Cause.GONE),
    ],
    ids=str,
)
def test_a_try_that_has_failed_has_a_cause(
    state: State, found: MemberObservation, stops: int, cause: Cause
) -> None:
    assert cause_of(state, found, GOAL, stops=stops) is cause


def test_a_member_that_is_created_and_not_there_yet_is_not_gone() -> None:
    broken = MemberObservation(instance_id=None, goal_disk=Disk.BROKEN)
    creates = replace(GOAL, strategy=Strategy.CREATE)
    assert cause_of(State.LOST, broken, creates) is Cause.NO_DISK
    made = observed(instance_id="8", is_ours=True, goal_disk=Disk.TAKEN)
    assert cause_of(State.LOST, made, creates) is Cause.NO_DISK
    assert cause_of(State.LOST, broken, GOAL) is Cause.GONE


@pytest.mark.parametrize("boot_id", ["boot-1", "boot-2"])
def test_what_counts_as_said_is_of_this_boot_and_this_image(boot_id: str) -> None:
    of_old = Health(state="unhealthy", image="web-old", boot_id=boot_id)
    assert cause_of(State.UNHEALTHY, observed(health=of_old), GOAL) is Cause.SILENT
    before = Health(state="unhealthy", image="web-new", boot_id="boot-1")
    assert cause_of(State.UNHEALTHY, observed(health=before), GOAL) is Cause.SILENT


def test_the_members_own_reasons_are_tried_once_more_and_only_silence_is_ever_the_images() -> None:
    assert {
        Cause.SILENT,
        Cause.POWERED_OFF,
        Cause.NOT_STARTED,
        Cause.HOST_LOST,
        Cause.STOCK_OUT,
        Cause.NO_DISK,
    } == TRIED_AGAIN
    of_image = {Cause.SAID_UNHEALTHY, Cause.NOT_RESUMED, Cause.SILENT, Cause.POWERED_OFF}
    assert of_image == OF_THE_IMAGE
    assert all(cause.text for cause in Cause)


@pytest.mark.parametrize(
    ("kinds", "is_lost"),
    [
        ([], False),
        (["start", "attachDisk", "detachDisk", "stop"], False),
        (["compute.instances.preempted", "start", "attachDisk"], True),
        (["start", "compute.instances.hostError", "attachDisk"], True),
        (["compute.instances.automaticRestart", "compute.instances.hostError"], True),
        (["start", "attachDisk", "compute.instances.hostError"], False),
        (["compute.instances.guestTerminate", "start", "attachDisk"], False),
    ],
    ids=str,
)
def test_a_host_is_lost_if_it_was_since_the_disk_was_attached(
    kinds: list[str], is_lost: bool
) -> None:
    assert taken_away(kinds) is is_lost


def test_a_stop_while_it_boots_is_nobodys_wish() -> None:
    assert stopped_while_it_booted(State.BOOTING, State.LOADED)
    assert stopped_while_it_booted(State.STARTING, State.STOPPING)
    assert not stopped_while_it_booted(State.STOPPING, State.LOADED)
    assert not stopped_while_it_booted(None, State.LOADED)
    assert not stopped_while_it_booted(State.BARE, State.LOADED)


@pytest.mark.parametrize("state", [None, *State])
def test_a_fresh_disk_is_no_help_where_the_old_one_still_is(state: State | None) -> None:
    helps = {State.PREPARING, State.ABSENT, State.LOADED, State.STARTING, State.BOOTING}
    assert (late_in(state) is not None) == (state in helps)
