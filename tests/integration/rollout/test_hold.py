"""A freeze, and closed windows, keep a fleet as it is until they end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.flow.fleet import ZONE
from tests.support.freeze import BY_ANN, Switch, switched
from tests.support.ledger import of_kind, read_ledger

from bakehouse.core.errors import PermanentError, TransientError
from bakehouse.core.reasons import Reason
from bakehouse.fleet.load import load_fleet
from bakehouse.history.location import ledger_url
from bakehouse.history.wait_events import WaitedEvent, WaitsEvent
from bakehouse.operators.hold_trigger import HoldTrigger
from bakehouse.rollout.triggers import SwapTrigger

from .walk import Rollout

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.flow.fleet import Members

    from devstack.gce_api import Compute

    from .conftest import Images

NAMES = ["web-1", "web-2"]
FLEET = f"""\
recipe: web
members: {{instances: [web-1, web-2], zones: [{ZONE}]}}
stages: [1, 100%]
health_deadline: 20s
"""


class Killed(BaseException):
    """The process of the task was killed here."""


@pytest.fixture
def switch(monkeypatch: pytest.MonkeyPatch) -> Switch:
    return switched(monkeypatch)


def rollout(image: str, run_id: str, text: str = "") -> Rollout:
    return Rollout(load_fleet(FLEET + text, "fleets/web.yaml"), run_id, image)


def waits(run: Rollout) -> list[tuple[Any, ...]]:
    written = read_ledger(ledger_url(), run.run_id)
    told: list[WaitsEvent | WaitedEvent] = [*of_kind(WaitsEvent, written)]
    told += of_kind(WaitedEvent, written)
    return [(e.kind, e.reason, e.detail.member, e.detail.what) for e in told]


def kinds(run: Rollout) -> list[type]:
    return [type(waited.trigger) for waited in run.deferred]


@pytest.mark.long
def test_a_frozen_rollout_waits_before_its_stage_and_goes_on_when_the_freeze_ends(
    fleet_of: Members, images: Images, switch: Switch
) -> None:
    fleet_of.create(images.old, NAMES)
    run = rollout(images.new, "manual__frozen")
    run.begin()
    switch.answers = [BY_ANN] * 5 + [None]
    run.replace(1)
    assert kinds(run) == [HoldTrigger, SwapTrigger]
    assert waits(run) == [
        ("waits", Reason.FROZEN, "", "web"),
        ("waited", Reason.FROZEN, "", "web"),
    ]
    (began,) = of_kind(WaitsEvent, read_ledger(ledger_url(), run.run_id))
    assert "frozen by ann: the quarter ends" in began.detail.why
    assert began.image == images.new
    assert run.states["replace_1_0"] == "success", run.errors
    assert run.xcom("select_members_1", "waits") is None, "it waits no longer"


@pytest.mark.long
@pytest.mark.parametrize("form", [{"reconcile": True}, {"metadata": {"color": "blue"}}], ids=str)
def test_a_freeze_holds_a_reconcile_and_a_change_of_metadata_too(
    fleet_of: Members, images: Images, switch: Switch, form: dict[str, Any]
) -> None:
    fleet_of.create(images.old, NAMES)
    switch.answers = [BY_ANN]
    run = rollout("", f"manual__frozen-{next(iter(form))}", "held_at_most: 1s\n")
    run.params |= form
    before = fleet_of.facts()
    run.begin()
    run.stage(1)
    assert "frozen by ann: the quarter ends" in str(run.errors["select_members_1"])
    assert fleet_of.facts() == before
    assert fleet_of.stops() == {}


def test_no_member_is_stopped_while_the_freeze_is_on(
    fleet_of: Members, images: Images, switch: Switch
) -> None:
    fleet_of.create(images.old, NAMES)
    switch.answers = [BY_ANN]
    run = rollout(images.new, "manual__long", "held_at_most: 1s\n")
    run.begin()
    run.stage(1)
    assert isinstance(run.errors["select_members_1"], PermanentError)
    assert "frozen by ann: the quarter ends" in str(run.errors["select_members_1"])
    assert "held since 20" in str(run.errors["select_members_1"])
    assert fleet_of.stops() == {}
    assert fleet_of.facts().images == dict.fromkeys(NAMES, images.old)


@pytest.mark.long
def test_a_freeze_that_begins_in_the_middle_of_a_stage_stops_the_next_member_only(
    fleet_of: Members, images: Images, switch: Switch
) -> None:
    fleet_of.create(images.old, NAMES)
    run = rollout(images.new, "manual__middle", "max_unavailable: 1\nheld_at_most: 1s\n")
    run.begin()
    run.stage(1)
    switch.answers = [BY_ANN]
    run.stage(2)
    assert fleet_of.stops() == {"web-1": 1}
    assert run.states["verify_stage_1"] == "success"


@pytest.mark.long
def test_a_freeze_that_begins_while_the_new_disk_is_made_is_seen_before_the_stop(
    fleet_of: Members, images: Images, switch: Switch
) -> None:
    """The worker asks before the walk, the triggerer once more right before the stop."""
    fleet_of.create(images.old, NAMES)
    run = rollout(images.new, "manual__stop")
    run.begin()
    # the stage, the gates of the member; before the stop; the gates again; the wait
    switch.answers = [None, None, BY_ANN, BY_ANN, BY_ANN, None]
    run.replace(1)
    assert kinds(run) == [SwapTrigger, HoldTrigger, SwapTrigger]
    assert run.states["replace_1_0"] == "success", run.errors
    assert fleet_of.stops() == {"web-1": 1}
    assert waits(run)[0] == ("waits", Reason.FROZEN, "web-1", "web")


def test_a_member_that_is_down_is_brought_up_in_a_freeze(
    fleet_of: Members, images: Images, switch: Switch
) -> None:
    """One that a killed run has left in the middle serves nobody until it goes on."""
    fleet_of.create(images.old, NAMES)
    run = rollout(images.new, "manual__down")
    run.begin()
    run._task("select_members_1", stage=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bakehouse.rollout.replace.perform", dies_at_detach())
        with pytest.raises(Killed):
            run._mapped("replace_1", "select_members_1")
    switch.answers = [BY_ANN]
    run._mapped("replace_1", "select_members_1")
    assert run.states["replace_1_0"] == "success", run.errors
    assert fleet_of.stops() == {"web-1": 1}
    assert fleet_of.facts().health["web-1"] == images.new


@pytest.mark.long
def test_the_way_back_is_never_frozen(fleet_of: Members, images: Images, switch: Switch) -> None:
    fleet_of.create(images.old, NAMES, plain="web-1")
    run = rollout(images.new, "manual__hold-back")
    run.begin()
    run.stage(1)
    assert run.states["replace_1_0"] == "failed"
    switch.answers = [BY_ANN]
    run.plan_rollback()
    run.roll_back()
    assert run.verdict() == "failed"
    assert fleet_of.facts().health == dict.fromkeys(NAMES, images.old)


@pytest.mark.usefixtures("switch")
def test_a_freeze_that_cannot_be_read_stops_nobody_and_is_no_end_of_the_freeze(
    fleet_of: Members, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet_of.create(images.old, NAMES)
    monkeypatch.setattr(
        "bakehouse.triggers.supervisor_comms.variable_or_error", lambda _: (None, "HTTP 500")
    )
    run = rollout(images.new, "manual__unread")
    run.begin()
    run.replace(1)
    assert isinstance(run.errors["select_members_1"], TransientError)
    assert "the Variable bakehouse_freeze cannot be read: HTTP 500" in str(
        run.errors["select_members_1"]
    )
    assert fleet_of.stops() == {}


def day_of(moment: datetime) -> str:
    return f"{moment:%a}".lower()


@pytest.mark.usefixtures("switch")
def test_a_stage_waits_until_a_window_opens(
    fleet_of: Members, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet_of.create(images.old, NAMES)
    now = datetime.now(UTC)
    other = day_of(now + timedelta(days=3))
    run = rollout(images.new, "manual__window", f"windows: [{{days: {other}}}]\n")
    run.begin()
    opens = opening_after(monkeypatch, seconds=0.3)
    run.replace(1)
    assert kinds(run) == [HoldTrigger, SwapTrigger]
    assert waits(run)[0] == ("waits", Reason.OUTSIDE_WINDOW, "", "web")
    (began,) = of_kind(WaitsEvent, read_ledger(ledger_url(), run.run_id))
    assert began.detail.until is not None
    assert f"{other} 00:00-24:00 UTC" in began.detail.why
    assert opens() >= 2
    assert run.states["replace_1_0"] == "success", run.errors


@pytest.mark.usefixtures("switch")
def test_outside_its_windows_a_fleet_is_left_alone_and_the_reason_is_told(
    fleet_of: Members, images: Images
) -> None:
    fleet_of.create(images.old, NAMES)
    other = day_of(datetime.now(UTC) + timedelta(days=3))
    text = f"windows: [{{days: {other}, hours: 10:00-11:00}}]\nheld_at_most: 1s\n"
    run = rollout(images.new, "manual__closed", text)
    assert run.through() == "failed"
    assert fleet_of.stops() == {}
    assert "no window of the fleet is open (the next one opens at" in str(
        run.errors["select_members_1"]
    )


def dies_at_detach() -> Callable[..., Any]:
    from bakehouse.rollout import replace
    from bakehouse.rollout.states import Action

    perform = replace.perform

    def dies(hook: Any, step: Action, *arguments: Any) -> Any:
        if step is Action.DETACH:
            raise Killed
        return perform(hook, step, *arguments)

    return dies


def opening_after(monkeypatch: pytest.MonkeyPatch, seconds: float) -> Callable[[], int]:
    """Open every window so much later; how often it was asked."""
    from bakehouse.operators import hold

    asked, opens = [0], datetime.now(UTC) + timedelta(seconds=seconds)

    def opening(windows: Any, moment: datetime) -> datetime:
        asked[0] += 1
        return moment if not windows else max(opens, moment)

    monkeypatch.setattr(hold, "opening", opening)
    return lambda: asked[0]


DECLARED = f"""\
recipe: web
members: {{instances: [web-9], zones: [{ZONE}]}}
template: {{machine_type: e2-small, metadata: {{color: red, greeting: hello}}}}
stages: [100%]
health_deadline: 20s
"""


def test_a_missing_member_is_not_created_while_the_freeze_is_on(
    compute: Compute, images: Images, switch: Switch
) -> None:
    run = Rollout(load_fleet(DECLARED, "fleets/web.yaml"), "manual__create", images.new)
    run.begin()
    # the stage, the gates of the member; before the insert; the gates again; the wait
    switch.answers = [None, None, BY_ANN, BY_ANN, BY_ANN, None]
    run.replace(1)
    assert run.states["replace_1_0"] == "success", run.errors
    assert kinds(run) == [SwapTrigger, HoldTrigger, SwapTrigger]
    assert [vm["name"] for vm in compute.instances()] == ["web-9"]
