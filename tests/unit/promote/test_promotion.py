from __future__ import annotations

from bakehouse.core.reasons import Reason
from bakehouse.images.selection import previous
from bakehouse.promote.promotion import needs_family, needs_state, promotion


def test_a_run_promotes_into_the_family() -> None:
    wanted = promotion("web", history=False)
    assert (wanted.family, wanted.state, wanted.reason) == ("web", "promoted", Reason.PROMOTED)


def test_the_familys_image_before_this_one_is_what_it_is_compared_with() -> None:
    family = [
        {"name": f"web-{day}", "creationTimestamp": f"2026-11-{day}T03:00:00.000-08:00"}
        for day in (21, 23, 22)
    ]
    assert previous(family, "web-23") == "web-22"
    assert previous(family, "web-21") is None
    assert previous(family, "web-24") == "web-23", "a list that lacks it lags behind"
    assert previous([], "web-21") is None


def test_a_backfill_never_moves_a_family() -> None:
    wanted = promotion("web", history=True)
    assert (wanted.family, wanted.state) == (None, "history")
    assert not needs_family({}, wanted)


def test_what_is_done_is_not_done_again() -> None:
    wanted = promotion("web", history=False)
    done = {"family": "web", "labels": {"bakehouse-state": "promoted"}}
    assert not needs_family(done, wanted)
    assert not needs_state(done, wanted)
    assert needs_family({"family": "old"}, wanted)
    assert needs_state({"labels": {"bakehouse-state": "candidate"}}, wanted)


def test_what_was_promoted_never_becomes_history() -> None:
    """A backfill that reprocesses a night finds the night's own image."""
    promoted = {"family": "web", "labels": {"bakehouse-state": "promoted"}}
    assert not needs_state(promoted, promotion("web", history=True))
