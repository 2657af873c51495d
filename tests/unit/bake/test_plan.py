from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bakehouse.bake.plan import BakePlan, decide
from bakehouse.core.reasons import Reason
from bakehouse.images.selection import (
    is_superseded,
    is_usable,
    newest_with_content,
    rolled_back_with_content,
)
from bakehouse.updates.compare import Update, Updates

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
WEEK = timedelta(days=7)


def image(
    name: str = "web-1", *, age: timedelta = timedelta(days=1), **other: Any
) -> dict[str, Any]:
    labels = {"content-key": "k", "bakehouse-state": "promoted"}
    made = (NOW - age).isoformat()
    return {"name": name, "labels": labels, "creationTimestamp": made, "status": "READY", **other}


@pytest.mark.parametrize(
    ("existing", "force", "rebake", "expected"),
    [
        (None, False, "on_updates", (True, Reason.NO_IMAGE_WITH_THIS_CONTENT)),
        (None, False, "never", (True, Reason.NO_IMAGE_WITH_THIS_CONTENT)),
        (image(), False, "on_updates", (False, Reason.SAME_CONTENT)),
        (image(), True, "never", (True, Reason.FORCED)),
        (image(), False, "always", (True, Reason.ALWAYS)),
        (image(age=8 * WEEK), False, "on_updates", (True, Reason.IMAGE_TOO_OLD)),
        (image(age=8 * WEEK), False, "never", (False, Reason.SAME_CONTENT)),
    ],
)
def test_bake_or_not_and_why(
    existing: dict[str, Any] | None, force: bool, rebake: str, expected: tuple[bool, Reason]
) -> None:
    decision = decide(existing, force=force, rebake=rebake, max_age=WEEK, now=NOW)
    assert decision[:2] == expected


def test_the_newest_image_counts() -> None:
    old, new = image("old", age=timedelta(days=3)), image("new", age=timedelta(days=1))
    assert newest_with_content("k", [new, old]) == new


def test_content_that_came_back_is_baked_anew_so_that_it_is_the_newest_again() -> None:
    other = {"content-key": "other", "bakehouse-state": "promoted"}
    reverted, bad = image(age=timedelta(days=3)), image("bad", labels=other)
    assert is_superseded(reverted, [bad, reverted])
    decision = decide(reverted, force=False, rebake="never", max_age=WEEK, now=NOW, superseded=True)
    assert decision[:2] == (True, Reason.OTHER_CONTENT_IS_NEWER)
    again = image("again", age=timedelta(hours=1))
    assert not is_superseded(again, [bad, reverted, again])


@pytest.mark.parametrize(
    "newer",
    [
        image("bad", labels={"content-key": "other", "bakehouse-state": "revoked"}),
        image("bad", labels={"content-key": "other", "bakehouse-state": "history"}),
        image(
            "bad", labels={"content-key": "other", "bakehouse-state": "promoted"}, status="FAILED"
        ),
        image("bad", labels={"content-key": "k", "bakehouse-state": "promoted"}),
    ],
)
def test_what_is_not_in_use_supersedes_nothing(newer: dict[str, Any]) -> None:
    old = image(age=timedelta(days=3))
    assert not is_superseded(old, [newer, old])
    assert not is_superseded(None, [newer])


@pytest.mark.parametrize(
    "spoiled",
    [
        image(labels={"content-key": "other", "bakehouse-state": "promoted"}),
        image(labels={"content-key": "k", "bakehouse-state": "candidate"}),
        image(labels={"content-key": "k", "bakehouse-state": "failed"}),
        image(labels={}),
        image(status="PENDING"),
        image(deprecated={"state": "OBSOLETE"}),
    ],
)
def test_only_a_good_promoted_image_saves_a_bake(spoiled: dict[str, Any]) -> None:
    assert newest_with_content("k", [spoiled]) is None


def test_the_history_serves_the_history_and_no_family() -> None:
    kept = image(labels={"content-key": "k", "bakehouse-state": "history"})
    assert newest_with_content("k", [kept], history=True) == kept
    assert newest_with_content("k", [kept]) is None


def test_a_plan_survives_being_handed_on(plan: BakePlan) -> None:
    assert BakePlan.model_validate(plan.model_dump(mode="json")) == plan


@pytest.mark.parametrize(
    ("rebake", "age", "unread", "expected", "looked"),
    [
        ("on_updates", 1, (), (False, Reason.SAME_CONTENT), True),
        ("on_updates", 1, ("x: gone",), (True, Reason.UPDATES_UNKNOWN), True),
        ("on_updates", 8, ("x: gone",), (True, Reason.IMAGE_TOO_OLD), False),
        ("always", 1, ("x: gone",), (True, Reason.ALWAYS), False),
        ("never", 1, ("x: gone",), (False, Reason.SAME_CONTENT), False),
        ("never", 8, ("x: gone",), (False, Reason.SAME_CONTENT), False),
    ],
)
@pytest.mark.parametrize("history", [False, True])
def test_updates_count_where_the_recipe_says_so(
    rebake: str,
    age: int,
    unread: tuple[str, ...],
    expected: tuple[bool, Reason],
    looked: bool,
    history: bool,
) -> None:
    looks = []

    def look() -> Updates:
        looks.append(1)
        return Updates(image="web-1", unread=unread)

    found = decide(
        image(age=timedelta(days=age)),
        force=False,
        rebake=rebake,
        max_age=WEEK,
        now=NOW,
        history=history,
        updates=look,
    )
    assert found[:2] == ((False, Reason.SAME_CONTENT) if history else expected)
    assert bool(looks) is (looked and not history)
    assert (found.updates is not None) is bool(looks)


def blamed(age: int = 1, **fields: Any) -> dict[str, Any]:
    """An image that a rollout has marked."""
    found = image("web-2", age=timedelta(days=age), deprecated={"state": "DEPRECATED"}, **fields)
    found["labels"]["bakehouse-rolled-back"] = "web"
    return found


def test_only_the_newest_image_with_a_content_says_that_it_was_rolled_back() -> None:
    good = image("web-1", age=timedelta(days=9))
    assert rolled_back_with_content("k", [good, blamed()])
    assert not rolled_back_with_content("other", [good, blamed()])
    forced = image("web-3", age=timedelta(0))  # since then somebody has forced a bake
    assert rolled_back_with_content("k", [good, blamed(), forced]) is None


def test_whoever_sets_an_image_active_takes_the_mark_away() -> None:
    assert not is_usable(blamed())
    taken_back = {**blamed(), "deprecated": {"state": "ACTIVE"}}
    assert is_usable(taken_back)
    assert rolled_back_with_content("k", [taken_back]) is None


@pytest.mark.parametrize("rebake", ["on_updates", "always", "never"])
@pytest.mark.parametrize("unread", [(), ("x: gone",)])
@pytest.mark.parametrize("existing", [None, image(age=8 * WEEK)])
def test_content_that_was_rolled_back_is_not_baked_again_as_if_nothing_was(
    rebake: str, unread: tuple[str, ...], existing: Any
) -> None:
    found = decide(
        existing,
        force=False,
        rebake=rebake,
        max_age=WEEK,
        now=NOW,
        rolled_back=True,
        updates=lambda: Updates(image="web-2", unread=unread),
    )
    assert found[:2] == (False, Reason.ROLLED_BACK)


def test_a_forced_bake_and_updates_that_the_blamed_image_has_not_are_other_content() -> None:
    update = Update(
        name="nginx", arch="amd64", installed="1", available="2", suite="s", security=False
    )

    def with_update() -> Updates:
        return Updates(image="web-2", found=(update,))

    def decided(**fields: Any) -> tuple[bool, Reason]:
        usual: dict[str, Any] = {"force": False, "rebake": "on_updates", "updates": with_update}
        found = decide(image(), max_age=WEEK, now=NOW, rolled_back=True, **{**usual, **fields})
        return found[:2]

    assert decided() == (True, Reason.PACKAGE_UPDATES)
    assert decided(rebake="never") == (False, Reason.ROLLED_BACK)
    assert decided(updates=None) == (False, Reason.ROLLED_BACK)
    assert decided(force=True) == (True, Reason.FORCED)
    assert decided(history=True) == (False, Reason.SAME_CONTENT)
