"""`make bench-history`: one line of JSON per figure, `{"name", "value", "unit", "goal"}` and more.

A ledger of 5,000 images of 10 recipes and of 1,000 members of 20 fleets, in memory.

- `history_page_ms`: what the server needs for the slowest question that the page asks, the median
  of nine. The answer is that of the app, as JSON and over its own routes, without Airflow's check
  of the user.
- `history_rebuild_ms`: working out all rows, which a thread does behind the questions after new
  events.

Arguments that are names select figures. Ends with 1 when a figure misses its goal.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta
from functools import cache
from statistics import median
from typing import TYPE_CHECKING, Any

from fastapi.testclient import TestClient
from figures import line, show

from bakehouse.core.reasons import Reason
from bakehouse.history import bake_events as baking
from bakehouse.history import fleet_events as fleets
from bakehouse.history import rollout_events as rolling
from bakehouse.pages.history_api import Services, create_app
from bakehouse.pages.history_source import HistorySource
from bakehouse.pages.image_differences import compare
from bakehouse.pages.read_model import build

if TYPE_CHECKING:
    from collections.abc import Iterator

    from figures import Line

    from bakehouse.history.events import LedgerEvent

IMAGES, RECIPES, MEMBERS, FLEETS = 5000, 10, 1000, 20
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
ASKED = 9
QUESTIONS = (
    "summary",
    "images",
    "images?offset=4900",
    "images?search=00000f",
    "images?recipe=recipe3&state=promoted&first=2026-02-01",
    "timeline?recipe=recipe3",
    "members",
    "members?fleet=fleet7",
    "series/recipe3",
)


def image(number: int) -> tuple[str, str, str, datetime]:
    """Recipe, name, commit and moment of an image."""
    moment, sha = BEGIN + timedelta(hours=number), f"{number:040x}"
    recipe = f"recipe{number % RECIPES}"
    return recipe, f"{recipe}-{moment:%Y%m%dt%H%M}-{sha[:7]}-{number:04x}", sha, moment


def of_bake(number: int) -> Iterator[LedgerEvent]:
    """The events of a bake that is promoted."""
    recipe, name, sha, moment = image(number)
    commit = baking.CommitRecord(
        sha=sha, ref="main", subject=f"Change {number}", author_time=moment, author="Jo"
    )
    fields: dict[str, Any] = {
        "time": moment,
        "dag_id": f"bake__{recipe}",
        "run_id": f"scheduled__{number}",
        "task_id": "t",
        "recipe": recipe,
        "image": name,
        "git_sha": sha,
    }
    yield baking.BakeEvent(
        **fields,
        reason=Reason.NO_IMAGE_WITH_THIS_CONTENT,
        detail=baking.BakeDetail(
            image_id=str(number),
            content_key=sha,
            base_image="debian-12",
            builder="b",
            seconds=60,
            packages=300,
            commit=commit,
        ),
    )
    passed = baking.VerdictDetail(message="passed", ready_seconds=12.0)
    yield baking.VerdictEvent(**fields, reason=Reason.SMOKE_PASSED, detail=passed)
    promoted = baking.PromotionDetail(family=recipe, image_id=str(number))
    yield baking.PromotionEvent(**fields, reason=Reason.PROMOTED, detail=promoted)


def of_fleet(number: int) -> Iterator[LedgerEvent]:
    """A look at a fleet, and a rollout of it that waits."""
    name, (recipe, newest, sha, _) = f"fleet{number}", image(IMAGES - RECIPES + number % RECIPES)
    old = image(number % RECIPES)[1]
    moment = BEGIN + timedelta(hours=IMAGES + number)
    fields: dict[str, Any] = {
        "time": moment,
        "dag_id": f"roll_out__{name}",
        "run_id": f"asset__{number}",
        "task_id": "t",
        "recipe": recipe,
    }
    named = [f"{name}-{one}" for one in range(MEMBERS // FLEETS)]
    listed = tuple(
        fleets.ListedMember(member=one, zone="z", image=old, image_id="1") for one in named
    )
    yield fleets.MembersEvent(
        **fields,
        reason=Reason.MEMBERS_LISTED,
        detail=fleets.MembersDetail(fleet=name, members=listed),
    )
    yield rolling.RolloutPlannedEvent(
        **fields,
        image=newest,
        git_sha=sha,
        reason=Reason.NEW_IMAGE,
        detail=rolling.RolloutPlannedDetail(
            fleet=name,
            image_id=str(IMAGES),
            stages=(tuple(named),),
            members=tuple(
                rolling.PlannedMember(member=one, old_image=old, way_back="disk") for one in named
            ),
        ),
    )


@cache
def ledger() -> list[LedgerEvent]:
    """Every event, the oldest first."""
    bakes = [event for number in range(IMAGES) for event in of_bake(number)]
    return bakes + [event for number in range(FLEETS) for event in of_fleet(number)]


def listed() -> list[dict[str, Any]]:
    """The images as Compute Engine lists them."""
    return [
        {"id": str(number), "name": image(number)[1], "archiveSizeBytes": "500000000"}
        for number in range(IMAGES)
    ]


def milliseconds(began: float) -> float:
    """Since that moment."""
    return (time.perf_counter() - began) * 1000


def history_page_ms() -> Iterator[Line]:
    """With all questions."""
    app = create_app(Services(HistorySource(ledger, listed), compare))
    taken: dict[str, float] = {}
    with TestClient(app) as client:
        for question in QUESTIONS:
            found = []
            for _ in range(ASKED):
                began = time.perf_counter()
                client.get(f"/api/v1/{question}").raise_for_status()
                found.append(milliseconds(began))
            taken[question] = round(median(found[1:]), 1)
    yield line(
        "ms", max(taken.values()), "<= 300", digits=1, images=IMAGES, members=MEMBERS, of=taken
    )


def history_rebuild_ms() -> Iterator[Line]:
    """Of all rows."""
    events, images = ledger(), listed()
    began = time.perf_counter()
    build(events, datetime.now(UTC), images)
    yield line("ms", milliseconds(began), digits=0, events=len(events))


FIGURES = {"history_page_ms": history_page_ms, "history_rebuild_ms": history_rebuild_ms}

if __name__ == "__main__":
    wanted = sys.argv[1:] or list(FIGURES)
    unknown = [name for name in wanted if name not in FIGURES]
    if unknown:
        raise SystemExit(f"{', '.join(unknown)}: choose of {', '.join(FIGURES)}")
    raise SystemExit(show(wanted, lambda name: FIGURES[name]()))
