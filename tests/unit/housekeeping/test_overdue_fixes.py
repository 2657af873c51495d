"""A fleet asks for a run when its members lack a security update for too long, if that helps."""

from __future__ import annotations

import pytest
from tests.support.events import at, fixes, image, update

from bakehouse.fleet.load import load_fleet
from bakehouse.history.missing_fixes import missing_fixes
from bakehouse.housekeeping.overdue_fixes import FixRequest, NewestImage, fix_request

OLD, NEW = image(1), image(2)
DAY = 24
SSL = update("openssl", "1.0-2")
TEXT = "recipe: web\nmembers: {instances: [web-1, web-2], zones: [us-central1-a]}\n"


def asked(
    *looks: object, days: float, limit: int | None = 7, newest: str | None = NEW, baked: float = -9
) -> FixRequest | None:
    """`days` after the first look; `baked`: the hour of the newest image."""
    more = f"max_days_since_fix: {limit}\n" if limit else ""
    return fix_request(
        load_fleet(TEXT + more, "fleets/web.yaml"),
        {"web-1": OLD, "web-2": OLD},
        missing_fixes(looks),  # type: ignore[arg-type]
        NewestImage(name=newest, created=at(baked)) if newest else None,
        at(days * DAY),
    )


def test_nothing_is_asked_for_without_the_setting_or_before_its_days_are_over() -> None:
    looks = [fixes(OLD, SSL), fixes(NEW)]
    assert asked(*looks, days=30, limit=None) is None
    assert asked(*looks, days=7) is None
    assert asked(*looks, days=7.2) is not None


def test_a_rollout_if_the_newest_image_has_the_fix() -> None:
    request = asked(fixes(OLD, SSL), fixes(NEW), days=9)
    assert request is not None
    assert (request.dag_id, request.conf) == ("roll_out__web", {})
    assert request.why == (
        "web-1 lacks openssl 1.0-2 (bookworm-security) for 9.0 days; max_days_since_fix of web is 7"
    )


@pytest.mark.parametrize("newest", [NEW, None])
def test_a_rebake_if_no_image_has_the_fix(newest: str | None) -> None:
    request = asked(fixes(OLD, SSL), fixes(NEW, SSL), days=9, newest=newest)
    assert request is not None
    assert (request.dag_id, request.conf) == ("bake__web", {"force": True})


def test_no_rebake_if_one_since_then_lacks_the_fix_all_the_same() -> None:
    request = asked(fixes(OLD, SSL), fixes(NEW, SSL), days=9, baked=DAY)
    assert request is not None
    assert request.dag_id == ""
    assert f"{NEW} was baked after the fix came out and lacks openssl all the same" in request.why


def test_a_rebake_if_one_of_two_fixes_can_still_come() -> None:
    jq = update("jq", "2")
    looks = [fixes(OLD, SSL), fixes(OLD, SSL, jq, hours=DAY), fixes(NEW, SSL, jq, hours=DAY)]
    request = asked(*looks, days=20, baked=DAY / 2)
    assert request is not None
    assert request.dag_id == "bake__web"


def test_members_whose_fixes_are_unknown_ask_for_nothing() -> None:
    assert asked(fixes(OLD, unread=("no answer",)), days=30) is None
    assert asked(days=30) is None
