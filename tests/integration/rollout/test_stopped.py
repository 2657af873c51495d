"""A rollout whose run somebody ends, wherever it is, says what it leaves; the next one goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.flow.fleet import ZONE
from tests.support.ledger import of_kind, read_ledger

from bakehouse.core.reasons import Reason
from bakehouse.fleet.load import load_fleet
from bakehouse.history.location import ledger_url
from bakehouse.history.rollout_events import RolloutEndedEvent
from bakehouse.rollout import replace
from bakehouse.rollout.states import Action, State

from .walk import Rollout

if TYPE_CHECKING:
    from tests.flow.fleet import Members

    from .conftest import Images

FLEET = f"""\
recipe: web
members: {{instances: [web-1], zones: [{ZONE}]}}
stages: [100%]
health_deadline: 20s
"""


class Killed(BaseException):
    """Somebody has marked the run as failed here."""


def rollout(image: str, run_id: str) -> Rollout:
    return Rollout(load_fleet(FLEET, "fleets/web.yaml"), run_id, image)


def killed_before(run: Rollout, last: Action) -> None:
    perform = replace.perform

    def dies(hook: Any, step: Action, *arguments: Any) -> Any:
        if step is last:
            raise Killed
        return perform(hook, step, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replace, "perform", dies)
        with pytest.raises(Killed):
            run.replace(1)


def mark_failed(run: Rollout) -> None:
    """As Airflow does: what waits has failed, what is to come is skipped, teardowns run."""
    begun = dict(run.states)
    for task in ("replace_1_0", "verify_stage_1", "plan_rollback", "roll_back", "verdict"):
        if task not in begun:
            run.states[task] = "failed" if task == "replace_1_0" else "skipped"
    run._task("release_lease")


def ended(run: Rollout) -> RolloutEndedEvent:
    (event,) = of_kind(RolloutEndedEvent, read_ledger(ledger_url(), run.run_id))
    return event


@pytest.mark.parametrize(
    ("step", "state"),
    [
        (Action.MAKE_DISK, State.PENDING),
        (Action.STOP, State.PREPARED),
        (Action.DETACH, State.STOPPED),
        (Action.ATTACH, State.BARE),
        (Action.START, State.LOADED),
    ],
)
def test_a_stopped_rollout_names_the_state_of_its_member_and_the_next_one_goes_on(
    fleet_of: Members, images: Images, step: Action, state: State
) -> None:
    fleet_of.create(images.old, ["web-1"])
    run = rollout(images.new, f"manual__stopped_{step}")
    run.begin()
    killed_before(run, step)
    mark_failed(run)
    event = ended(run)
    assert event.reason is Reason.STOPPED
    assert [(o.member, o.state) for o in event.detail.outcomes] == [("web-1", state)]
    again = rollout(images.new, f"manual__again_{step}")
    assert again.through() == "success", again.errors
    assert fleet_of.facts().health == {"web-1": images.new}
    assert fleet_of.stops()["web-1"] == 1, "no member is stopped twice"


def test_a_rollout_that_ends_by_itself_is_not_called_stopped(
    fleet_of: Members, images: Images
) -> None:
    fleet_of.create(images.old, ["web-1"])
    run = rollout(images.new, "manual__whole")
    assert run.through() == "success", run.errors
    run._task("release_lease")
    assert ended(run).reason is Reason.NEW_IMAGE


def test_a_lease_is_released_where_the_members_cannot_be_read(
    fleet_of: Members, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bakehouse.core.errors import PermanentError

    fleet_of.create(images.old, ["web-1"])
    run = rollout(images.new, "manual__stopped-unread")
    run.begin()
    killed_before(run, Action.STOP)

    def refused(*_: Any, **__: Any) -> None:
        raise PermanentError("HTTP 403")

    monkeypatch.setattr(replace, "look", refused)
    mark_failed(run)
    assert run.states["release_lease"] == "success"
    (outcome,) = ended(run).detail.outcomes
    assert (outcome.state, outcome.why) == ("stuck", "it could not be read: HTTP 403")
