"""A freeze stops promotions: what was tested waits, and becomes the newest when it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.freeze import BY_ANN, Switch, switched
from tests.support.ledger import of_kind, read_ledger

from bakehouse.core.errors import PermanentError
from bakehouse.core.reasons import Reason
from bakehouse.history.location import ledger_url
from bakehouse.history.wait_events import WaitedEvent, WaitsEvent
from bakehouse.operators import held_operator

from .walk import Walk

if TYPE_CHECKING:
    from datetime import timedelta

    from devstack.gce_api import Compute


@pytest.fixture
def switch(monkeypatch: pytest.MonkeyPatch) -> Switch:
    return switched(monkeypatch)


@pytest.mark.long
def test_a_tested_image_is_promoted_when_the_freeze_has_ended(
    compute: Compute, switch: Switch
) -> None:
    run = Walk("loaf", "manual__frozen", force=True)
    run.through("smoke_test")
    image = run.handed["plan_bake"]["image_name"]
    seen: list[bool] = []
    switch.answers = [BY_ANN, BY_ANN, None]
    answer = switch.__class__.__call__

    def look(self: Switch) -> str | None:
        seen.append("family" in compute.image(image))
        return answer(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Switch, "__call__", look)
        run.through("promote_image", "promote_image")
    assert seen[:3] == [False] * 3
    assert compute.image(image)["family"] == "loaf"
    written = read_ledger(ledger_url(), run.run_id)
    (began,), (ended,) = of_kind(WaitsEvent, written), of_kind(WaitedEvent, written)
    assert (began.reason, began.image) == (Reason.FROZEN, image)
    assert "frozen by ann: the quarter ends" in began.detail.why
    assert began.detail.since == ended.detail.since
    run.tear_down()


def test_a_promotion_that_a_freeze_holds_for_too_long_fails_with_who_and_why(
    compute: Compute, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Walk("loaf", "manual__long", force=True)
    run.through("smoke_test")
    switch.answers = [BY_ANN]
    monkeypatch.setattr(held_operator, "HELD_AT_MOST", one_second())
    with pytest.raises(PermanentError, match="frozen by ann: the quarter ends"):
        run.try_("promote_image")
    assert "family" not in compute.image(run.handed["plan_bake"]["image_name"])
    run.tear_down()


def one_second() -> timedelta:
    from datetime import timedelta

    return timedelta(seconds=1)
