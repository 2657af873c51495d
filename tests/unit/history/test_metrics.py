"""Which metrics an event gives, under documented names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tests.support.events import NOW, bake, ended, image, members, run
from tests.support.paths import PROJECT

from bakehouse.core.reasons import Reason
from bakehouse.history.bake_events import (
    SlaMissDetail,
    SlaMissEvent,
    VerdictDetail,
    VerdictEvent,
)
from bakehouse.history.metrics import NAMES, drifting_members, metrics_of, missing_fix_days
from bakehouse.history.wait_events import WaitDetail, WaitedEvent, WaitsEvent

if TYPE_CHECKING:
    from bakehouse.history.event import Event

NEW = image(2)


def sent(event: Event) -> list[tuple[str, float, list[str]]]:
    return [(m.name, m.value, list(m.tags.values())) for m in metrics_of(event)]


def verdict(ready: float | None) -> VerdictEvent:
    made = bake(NEW)
    common = {name: getattr(made, name) for name in ("time", "dag_id", "run_id", "task_id")}
    detail = VerdictDetail(message="ok", ready_seconds=ready)
    return VerdictEvent(
        **common,
        recipe="web",
        image=NEW,
        git_sha=made.git_sha,
        reason=Reason.SMOKE_PASSED,
        detail=detail,
    )


def wait(kind: Any, what: str = "web") -> Event:
    detail = WaitDetail(what=what, since=NOW, why="no window is open")
    found: Event = kind(**run(0), image=NEW, reason=Reason.OUTSIDE_WINDOW, detail=detail)
    return found


def test_the_guide_lists_every_metric() -> None:
    guide = (PROJECT / "docs/operating.md").read_text()
    table = guide.partition("<!-- metrics -->")[2].partition("\n## ")[0]
    assert tuple(re.findall(r"^\| `(bakehouse\.[a-z_]+)`", table, re.MULTILINE)) == NAMES


def test_a_bake_and_its_smoke_test_say_how_long_they_took() -> None:
    assert sent(bake(NEW)) == [("bakehouse.bake_seconds", 90, ["web"])]
    assert sent(verdict(12.5)) == [("bakehouse.boot_seconds", 12.5, ["web"])]
    assert sent(verdict(None)) == []


def test_the_age_of_each_members_image_unless_the_image_is_gone() -> None:
    look = members({"web-1": NEW, "web-2": NEW}, 48)
    aged = look.detail.members[0].model_copy(update={"image_created": NOW})
    detail = look.detail.model_copy(update={"members": (aged, look.detail.members[1])})
    event = look.model_copy(update={"detail": detail})
    assert sent(event) == [("bakehouse.image_age_days", 2.0, ["web", "web-1"])]


def test_a_rollout_waits_until_it_goes_on_or_ends() -> None:
    name = "bakehouse.waiting_rollouts"
    assert sent(wait(WaitsEvent)) == [(name, 1, ["web"])]
    assert sent(wait(WaitedEvent)) == [(name, 0, ["web"])]
    assert sent(ended(NEW)) == [(name, 0, ["web"])]
    assert sent(wait(WaitsEvent, NEW)) == [], "a promotion is no rollout"


def test_a_missed_sla_is_counted() -> None:
    detail = SlaMissDetail(
        task_id="plan", sla_seconds=60, state="running", deadline=NOW, noticed=NOW
    )
    event = SlaMissEvent(**run(0), reason=Reason.SLA_MISSED, subject="plan", detail=detail)
    assert sent(event) == [("bakehouse.sla_misses", 1, ["roll_out__web", "plan"])]


def test_what_is_known_of_a_night_only() -> None:
    assert drifting_members("web", 2).tags == {"fleet": "web"}
    assert missing_fix_days("web", "web-1", 9.0).tags["member"] == "web-1"
