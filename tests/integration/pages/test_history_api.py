"""The JSON API over its own routes: rights, escaping, and a ledger that is not there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import HTTPException
from fastapi.testclient import TestClient
from tests.support.events import planned

from bakehouse.core.reasons import Reason
from bakehouse.history import bake_events as baking
from bakehouse.history import fleet_events as fleets
from bakehouse.pages import answers
from bakehouse.pages.history_api import Services, create_app
from bakehouse.pages.history_source import HistorySource
from bakehouse.pages.rights import Everybody

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from pydantic import BaseModel

    from bakehouse.history.events import LedgerEvent
    from bakehouse.pages.history_source import Snapshot
    from bakehouse.pages.rights import User

NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
MARKUP = '<img src=x onerror="alert(1)">'
IMAGE, OTHER = "web-20261125t0300-aaaaaaa-0001", "api-20261125t0300-bbbbbbb-0002"


def bake(image: str) -> baking.BakeEvent:
    recipe, _, sha, _ = image.split("-")
    commit = baking.CommitRecord(
        sha=sha[0] * 40, ref="HEAD", subject=MARKUP, author_time=NOW, author='"Jo"'
    )
    detail = baking.BakeDetail(
        image_id=image[-1],
        content_key="k",
        base_image="debian-12",
        builder="b",
        seconds=70,
        commit=commit,
    )
    return baking.BakeEvent(
        time=NOW,
        dag_id=f"bake__{recipe}",
        run_id="r",
        task_id="t",
        recipe=recipe,
        image=image,
        git_sha=commit.sha,
        reason=Reason.FORCED,
        detail=detail,
    )


def members(fleet: str, recipe: str, image: str) -> fleets.MembersEvent:
    listed = fleets.ListedMember(member=f"{fleet}-1", zone="z", image=image, image_id=image[-1])
    return fleets.MembersEvent(
        time=NOW,
        dag_id="housekeeping",
        run_id="n",
        task_id="t",
        recipe=recipe,
        reason=Reason.MEMBERS_LISTED,
        detail=fleets.MembersDetail(fleet=fleet, members=(listed,)),
    )


EVENTS: list[LedgerEvent] = [
    bake(IMAGE),
    bake(OTHER),
    members("front", "web", IMAGE),
    members("back", "api", OTHER),
]


def compared(snapshot: Snapshot, old: str, new: str) -> answers.Comparison:
    return answers.Comparison(source=snapshot.source, old=old, new=new)


def nobody() -> User:
    raise HTTPException(401, "Not authenticated")


class OnlyWeb(Everybody):
    """May read what belongs to the recipe web, and trigger nothing."""

    def readable(self, dag_ids: Collection[str]) -> set[str]:
        return set(dag_ids) & {"bake__web", "roll_out__front"}

    def triggerable(self, dag_ids: Collection[str]) -> set[str]:
        return set(dag_ids) & set()

    def may_freeze(self) -> bool:
        return False


def no_ledger() -> list[LedgerEvent]:
    raise PermissionError("/secret/path")


def client(
    user: Callable[[], User] = Everybody,
    events: Callable[[], list[LedgerEvent]] = lambda: EVENTS,
    **more: Any,
) -> TestClient:
    services = Services(HistorySource(events), compared, **more)
    return TestClient(create_app(services, user), raise_server_exceptions=True)


@pytest.fixture
def everybody() -> Iterator[TestClient]:
    with client() as opened:
        yield opened


PATHS = [
    "summary",
    "images",
    f"images/{IMAGE}",
    "timeline",
    "members",
    "series/web",
    "asset-events",
    f"diff?old={IMAGE}&new={IMAGE}",
    "openapi.json",
]


@pytest.mark.parametrize("path", [*(f"api/v1/{path}" for path in PATHS), "", "page.js"])
def test_anonymous_is_refused_everywhere(path: str) -> None:
    assert client(nobody).get(f"/{path}").status_code == 401


@pytest.mark.parametrize("path", ["docs", "redoc", "openapi.json"])
def test_no_route_of_fastapis_own_is_open(path: str) -> None:
    assert client(nobody).get(f"/{path}").status_code in {401, 404}


def test_every_path_of_the_schema_is_versioned_and_only_read(everybody: TestClient) -> None:
    schema = everybody.get("/api/v1/openapi.json").json()
    assert all(path.startswith("/api/v1/") for path in schema["paths"])
    assert {method for path in schema["paths"].values() for method in path} == {"get"}
    assert {"ImageRow", "MemberRow", "TimelineRow"} <= set(schema["components"]["schemas"])


def test_every_answer_is_as_its_schema_says(everybody: TestClient) -> None:
    models: dict[str, type[BaseModel]] = {
        "summary": answers.Summary,
        "images": answers.ImagePage,
        f"images/{IMAGE}": answers.ImageDetail,
        "timeline": answers.TimelinePage,
        "members": answers.MemberPage,
        "series/web": answers.Series,
    }
    for path, model in models.items():
        answer = everybody.get(f"/api/v1/{path}")
        assert answer.status_code == 200, path
        assert answer.headers["content-type"] == "application/json"
        model.model_validate_json(answer.text)


def test_a_subject_with_markup_is_handed_over_as_it_is_and_as_json(everybody: TestClient) -> None:
    answer = everybody.get(f"/api/v1/images/{IMAGE}")
    assert answer.json()["image"]["subject"] == MARKUP
    assert answer.json()["image"]["author"] == '"Jo"'
    assert answer.headers["content-type"] == "application/json"


def test_a_user_sees_only_recipes_and_fleets_whose_dags_may_be_read() -> None:
    with client(OnlyWeb) as web:
        assert [row["image"] for row in web.get("/api/v1/images").json()["images"]] == [IMAGE]
        assert [row["fleet"] for row in web.get("/api/v1/members").json()["members"]] == ["front"]
        timeline = web.get("/api/v1/timeline").json()["entries"]
        assert {row["recipe"] for row in timeline} == {"web"}
        summary = web.get("/api/v1/summary").json()
        assert [one["recipe"] for one in summary["recipes"]] == ["web"]
        assert summary["fleets"] == ["front"]
        for path in (
            f"images/{OTHER}",
            "series/api",
            f"diff?old={OTHER}&new={IMAGE}",
            f"diff?old={IMAGE}&new={OTHER}",
            f"diff?member=back/back-1&new={IMAGE}",
        ):
            assert web.get(f"/api/v1/{path}").status_code == 404, path


def test_who_may_trigger_nothing_is_offered_nothing(everybody: TestClient) -> None:
    with client(OnlyWeb) as web:
        rights = web.get("/api/v1/summary").json()["rights"]
    assert rights == {"user": "", "roll_out": [], "bake": [], "revoke": False, "freeze": False}
    offered = everybody.get("/api/v1/summary").json()["rights"]
    assert (offered["roll_out"], offered["revoke"]) == (["back", "front"], True)


def test_an_image_is_compared_with_what_a_member_runs(everybody: TestClient) -> None:
    found = everybody.get(f"/api/v1/diff?member=back/back-1&new={IMAGE}").json()
    assert (found["old"], found["new"]) == (OTHER, IMAGE)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("images/nobody-has-it", 404),
        ("images?limit=100000", 422),
        ("images?offset=-1", 422),
        ("images?state=wonderful", 422),
        ("images?first=yesterday", 422),
        (f"diff?new={IMAGE}", 422),
        (f"diff?new={IMAGE}&old={IMAGE}&member=front/front-1", 422),
        (f"diff?new={IMAGE}&member=front/nobody", 404),
    ],
)
def test_a_wrong_question_is_refused(everybody: TestClient, path: str, status: int) -> None:
    assert everybody.get(f"/api/v1/{path}").status_code == status


def test_a_server_that_cannot_read_the_ledger_says_so_and_shows_asset_events() -> None:
    row = answers.AssetEventRow(
        time=NOW, recipe="web", image=IMAGE, git_sha="a" * 40, dag_id="bake__web", run_id="r"
    )
    with client(events=no_ledger, asset_events=lambda: [row]) as blind:
        source = blind.get("/api/v1/summary").json()["source"]
        found = blind.get("/api/v1/asset-events").json()["images"]
    assert source["ledger"] is False
    assert source["problem"] == "the API server cannot read the ledger: PermissionError"
    assert [one["image"] for one in found] == [IMAGE]


def test_only_the_files_of_the_page_are_served(everybody: TestClient) -> None:
    page = everybody.get("/")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert everybody.get("/page.js").headers["content-type"].startswith("text/javascript")
    for path in ("index.html", "..%2fanswers.py", "history_api.py"):
        assert everybody.get(f"/{path}").status_code == 404, path


def test_the_images_are_listed_once_for_many_questions() -> None:
    lists: list[int] = []

    def images() -> list[dict[str, Any]]:
        lists.append(1)
        return [{"id": "1", "name": IMAGE, "archiveSizeBytes": "7"}]

    source = HistorySource(lambda: EVENTS, images, signed=lambda _: {IMAGE: "verified"})
    services = Services(source, compared)
    with TestClient(create_app(services)) as opened:
        for _ in range(20):
            rows = opened.get("/api/v1/images?recipe=web").json()["images"]
    assert [(row["size_bytes"], row["signed"]) for row in rows] == [(7, "verified")]
    assert len(lists) == 1


def test_keys_that_cannot_be_read_leave_the_rows_without_a_word_on_signatures() -> None:
    def no_keys(_: object) -> dict[str, str]:
        raise ValueError("the Variable bakehouse_trusted_keys is no JSON")

    services = Services(HistorySource(lambda: EVENTS, signed=no_keys), compared)
    with TestClient(create_app(services)) as opened:
        rows = opened.get("/api/v1/images?recipe=web").json()["images"]
    assert [row["signed"] for row in rows] == [None]


@pytest.mark.parametrize(
    ("state", "shown", "told"),
    [
        ("running", ["under way"], "under way, 0 of 1 members"),
        (None, [], "cut short, 0 of 1 members: its run was deleted"),
        ("failed", [], "cut short, 0 of 1 members: its run has ended: failed"),
    ],
)
def test_a_rollout_whose_run_is_over_is_under_way_no_longer(
    state: str | None, shown: list[str], told: str
) -> None:
    events: list[LedgerEvent] = [*EVENTS, planned(IMAGE, {"web-1": OTHER})]
    source = HistorySource(lambda: events, run_state=lambda *_: state)
    with TestClient(create_app(Services(source, compared), Everybody)) as asked:
        summary = asked.get("/api/v1/summary").json()
        assert [one["state"] for one in summary["rollouts"]] == shown
        entries = asked.get("/api/v1/timeline").json()["entries"]
        assert entries[0]["sentence"].endswith(told)


def test_a_state_that_cannot_be_read_leaves_the_rollout_under_way() -> None:
    def refused(*_: str) -> str:
        raise PermissionError("no database here")

    source = HistorySource(lambda: [planned(IMAGE, {"web-1": OTHER})], run_state=refused)
    assert [row.state for row in source.current().model.rollouts] == ["under way"]
