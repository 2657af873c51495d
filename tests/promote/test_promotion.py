from __future__ import annotations

from bakehouse.promote.promotion import promotion, wants_family, wants_state
from bakehouse.reasons import Reason


def test_a_run_promotes_into_the_family() -> None:
    wanted = promotion("web", history=False)
    assert (wanted.family, wanted.state, wanted.reason) == ("web", "promoted", Reason.PROMOTED)


def test_a_backfill_never_moves_a_family() -> None:
    wanted = promotion("web", history=True)
    assert (wanted.family, wanted.state) == (None, "history")
    assert not wants_family({}, wanted)


def test_what_is_done_is_not_done_again() -> None:
    wanted = promotion("web", history=False)
    done = {"family": "web", "labels": {"bakehouse-state": "promoted"}}
    assert not wants_family(done, wanted)
    assert not wants_state(done, wanted)
    assert wants_family({"family": "old"}, wanted)
    assert wants_state({"labels": {"bakehouse-state": "candidate"}}, wanted)


def test_what_was_promoted_never_becomes_history() -> None:
    """A backfill that reprocesses a night finds the night's own image."""
    promoted = {"family": "web", "labels": {"bakehouse-state": "promoted"}}
    assert not wants_state(promoted, promotion("web", history=True))
