"""The age of a missing fix counts from the day on which it could first have been installed."""

from __future__ import annotations

from tests.support.events import at, bake, fixes, image, update

from bakehouse.core.reasons import Reason
from bakehouse.history.bake_events import UpdatesDetail, UpdatesEvent
from bakehouse.history.missing_fixes import missing_fixes

A, B = image(1), image(2)
DAY = 24


def test_the_oldest_missing_fix_with_its_days() -> None:
    ssl, jq = update("openssl", "1.0-2"), update("jq", "1.0-2")
    events = [fixes(A, ssl), fixes(A, ssl, jq, hours=9 * DAY)]
    found = missing_fixes(events)[A]
    assert [fix.package for fix in found.missing] == ["openssl", "jq"]
    assert found.oldest is not None
    assert (found.oldest.days(at(9 * DAY)), found.missing[1].days(at(9 * DAY))) == (9.0, 0.0)


def test_a_second_fix_of_a_package_does_not_make_the_first_one_younger() -> None:
    events = [fixes(A, update("openssl", "1.0-2")), fixes(A, update("openssl", "1.0-3"), hours=DAY)]
    (fix,) = missing_fixes(events)[A].missing
    assert (fix.since, fix.available) == (at(0), "1.0-3")


def test_an_image_that_has_the_first_fix_lacks_the_second_from_its_own_day_on() -> None:
    events = [
        fixes(A, update("openssl", "1.0-2")),
        fixes(B, update("openssl", "1.0-3", "1.0-2"), hours=2 * DAY),
    ]
    (fix,) = missing_fixes(events)[B].missing
    assert fix.since == at(2 * DAY)


def test_a_look_for_another_image_or_for_a_bake_is_a_sighting_too() -> None:
    made = bake(A)
    found = UpdatesEvent(
        **{name: getattr(made, name) for name in ("time", "at", "dag_id", "run_id", "task_id")},
        recipe="web",
        image=A,
        git_sha=made.git_sha,
        reason=Reason.SECURITY_UPDATES,
        detail=UpdatesDetail(found=(update("openssl", "1.0-2"),)),
    )
    (fix,) = missing_fixes([found, fixes(B, update("openssl", "1.0-2"), hours=DAY)])[B].missing
    assert fix.since == at(0)


def test_packages_of_another_suite_are_another_fix() -> None:
    other = update("openssl", "3.0-2", suite="trixie-security")
    events = [fixes(A, other), fixes(B, update("openssl", "1.0-2"), hours=DAY)]
    (fix,) = missing_fixes(events)[B].missing
    assert fix.since == at(DAY)


def test_updates_without_security_are_no_fixes_and_the_newest_look_counts() -> None:
    events = [fixes(A, update("jq", "2")), fixes(A, update("jq", "2", security=False), hours=1)]
    found = missing_fixes(events)[A]
    assert found.missing == ()
    assert found.oldest is None
    assert found.is_known


def test_an_image_whose_archives_could_not_be_read_is_unknown() -> None:
    found = missing_fixes([fixes(A, unread=("deb.debian.org does not answer",))])[A]
    assert not found.is_known
    assert A not in missing_fixes([bake(A)])
