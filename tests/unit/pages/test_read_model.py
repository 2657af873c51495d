"""The rows of images and members, from events and one list of images."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from bakehouse.core.reasons import Reason
from bakehouse.history import bake_events as baking
from bakehouse.history import fleet_events as fleets
from bakehouse.history import housekeeping_events as keeping
from bakehouse.history import rollout_events as rolling
from bakehouse.history.story import What
from bakehouse.history.wait_events import WaitDetail, WaitsEvent
from bakehouse.pages import queries
from bakehouse.pages.answers import ImageState
from bakehouse.pages.queries import Scope, Wanted
from bakehouse.pages.read_model import build

if TYPE_CHECKING:
    from bakehouse.history.events import LedgerEvent
    from bakehouse.pages.read_model import ReadModel

NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
OLD, NEW = "web-20261125t0300-aaaaaaa-0001", "web-20261125t0400-bbbbbbb-0002"
SUBJECT = '<script>alert("a")</script> & more'


def of(image: str, hours: float = 0, /, **more: Any) -> dict[str, Any]:
    return {
        "time": NOW + timedelta(hours=hours),
        "dag_id": "bake__web",
        "run_id": f"manual__{image}",
        "task_id": "t",
        "recipe": "web",
        "image": image,
        "git_sha": image.split("-")[2][0] * 40,
    } | more


def bake(image: str, hours: float = 0) -> baking.BakeEvent:
    fields = of(image, hours)
    commit = baking.CommitRecord(
        sha=fields["git_sha"], ref="HEAD", subject=SUBJECT, author_time=NOW, author="Jo"
    )
    detail = baking.BakeDetail(
        image_id=image[-1],
        content_key="k",
        base_image="debian-12",
        builder="b",
        seconds=70,
        packages=4,
        commit=commit,
    )
    return baking.BakeEvent(**fields, reason=Reason.NO_IMAGE_WITH_THIS_CONTENT, detail=detail)


def verdict(image: str, reason: Reason, hours: float = 0) -> baking.VerdictEvent:
    detail = baking.VerdictDetail(message="nginx.service has failed", ready_seconds=9.5)
    return baking.VerdictEvent(**of(image, hours), reason=reason, detail=detail)


def promotion(image: str, hours: float = 0, reason: Reason = Reason.PROMOTED) -> LedgerEvent:
    detail = baking.PromotionDetail(family="web", image_id=image[-1])
    return baking.PromotionEvent(**of(image, hours), reason=reason, detail=detail)


def promoted(image: str, hours: float = 0) -> list[LedgerEvent]:
    return [
        bake(image, hours),
        verdict(image, Reason.SMOKE_PASSED, hours),
        promotion(image, hours + 0.1),
    ]


def listed(fleet: str, image: str, names: list[str], hours: float) -> fleets.MembersEvent:
    fields = of(image, hours, image=None, git_sha=None, dag_id="housekeeping", run_id="night")
    members = tuple(
        fleets.ListedMember(member=name, zone="z", image=image, image_id=image[-1])
        for name in names
    )
    detail = fleets.MembersDetail(fleet=fleet, members=members)
    return fleets.MembersEvent(**fields, reason=Reason.MEMBERS_LISTED, detail=detail)


def planned(image: str, hours: float) -> rolling.RolloutPlannedEvent:
    detail = rolling.RolloutPlannedDetail(
        fleet="front",
        image_id=image[-1],
        stages=(("web-1", "web-2"),),
        members=(rolling.PlannedMember(member="web-1", old_image=OLD, way_back="disk"),),
    )
    fields = of(image, hours, dag_id="roll_out__front", run_id="r")
    return rolling.RolloutPlannedEvent(**fields, reason=Reason.NEW_IMAGE, detail=detail)


def model(*events: LedgerEvent, **more: Any) -> ReadModel:
    return build(list(events), NOW + timedelta(days=2), **more)


def test_a_promoted_image_has_all_figures_of_its_bake() -> None:
    miss = baking.SlaMissEvent(
        **of(OLD),
        reason=Reason.SLA_MISSED,
        detail=baking.SlaMissDetail(
            task_id="t", sla_seconds=1, state="running", deadline=NOW, noticed=NOW
        ),
    )
    images = [{"id": "1", "name": OLD, "archiveSizeBytes": "500", "diskSizeGb": "10"}]
    found = model(*promoted(OLD), miss, images=images, commit_url=lambda sha: f"https://g/{sha}")
    (row,) = found.images
    assert (row.state, row.kind, row.family) == (ImageState.PROMOTED, What.BAKE, "web")
    assert (row.bake_seconds, row.boot_seconds, row.sla_misses, row.packages) == (70, 9.5, 1, 4)
    assert (row.size_bytes, row.disk_gb) == (500, 10)
    assert (row.subject, row.commit_url) == (SUBJECT, f"https://g/{'a' * 40}")
    assert found.newest == {"web": OLD}


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([], ImageState.CANDIDATE),
        ([verdict(OLD, Reason.SMOKE_FAILED)], ImageState.FAILED),
        ([verdict(OLD, Reason.BOOT_TOO_SLOW)], ImageState.FAILED),
        ([promotion(OLD, reason=Reason.KEPT_AS_HISTORY)], ImageState.HISTORY),
        (
            [
                promotion(OLD),
                keeping.RevokedEvent(
                    **of(OLD, 1),
                    reason=Reason.REVOKED,
                    detail=keeping.RevokedDetail(why="CVE-2026-1", image_id="1"),
                ),
            ],
            ImageState.REVOKED,
        ),
        (
            [
                promotion(OLD),
                keeping.ImageDeprecatedEvent(
                    **of(OLD, 1),
                    reason=Reason.NOT_KEPT,
                    detail=keeping.RetiredDetail(id="1", do="deprecate"),
                ),
            ],
            ImageState.DEPRECATED,
        ),
    ],
)
def test_an_image_has_the_state_of_what_became_of_it_last(
    events: list[LedgerEvent], state: ImageState
) -> None:
    assert model(bake(OLD), *events).images[0].state is state


def test_what_somebody_did_to_the_image_since_is_seen_in_the_list_of_compute_engine() -> None:
    gone = {"id": "1", "name": OLD, "deprecated": {"state": "OBSOLETE"}}
    assert model(*promoted(OLD), images=[gone]).images[0].state is ImageState.OBSOLETE
    revoked = {"id": "1", "name": OLD, "labels": {"bakehouse-state": "revoked"}}
    assert model(*promoted(OLD), images=[revoked]).images[0].state is ImageState.REVOKED


def test_a_bake_of_the_same_commit_is_a_rebake() -> None:
    again = OLD.replace("0300", "0500")
    kinds = {row.image: row.kind for row in model(bake(OLD), bake(again, 2)).images}
    assert kinds == {OLD: What.BAKE, again: What.REBAKE}


def test_a_member_says_its_image_its_age_and_that_it_is_behind() -> None:
    found = model(*promoted(OLD), *promoted(NEW, 1), listed("front", OLD, ["web-1"], 2))
    (row,) = found.members
    assert (row.image, row.newest, row.image_days) == (OLD, False, 2.0)
    assert row.drift == f"not on the newest image, {NEW}"
    assert found.by_name[OLD].members == 1


def test_a_member_says_what_the_rollout_under_way_waits_for() -> None:
    images = [*promoted(OLD), *promoted(NEW, 1)]
    so_far = [*images, listed("front", OLD, ["web-1"], 2), planned(NEW, 3)]
    found = model(*so_far)
    assert found.members[0].waits.startswith(f"the rollout to {NEW} is under way since 2026-11-25")
    assert [row.fleet for row in found.rollouts] == ["front"]
    frozen = WaitsEvent(
        **of(NEW, 4, dag_id="roll_out__front", run_id="r"),
        reason=Reason.FROZEN,
        detail=WaitDetail(what="front", since=NOW + timedelta(hours=4), why="frozen by ann"),
    )
    waits = model(*so_far, frozen).members[0].waits
    assert waits == f"the rollout to {NEW} waits since 2026-11-25 07:00:00 UTC: frozen by ann"


def test_a_member_says_that_its_fleet_is_held() -> None:
    held = fleets.ImageHeldEvent(
        **of(NEW, 3),
        reason=Reason.HELD,
        detail=fleets.ImageHeldDetail(
            fleet="front", image_id="2", created=NOW, instead=OLD, instead_id="1", by="ann"
        ),
    )
    found = model(*promoted(OLD), *promoted(NEW, 1), listed("front", OLD, ["web-1"], 2), held)
    assert f"{NEW} is held back from the fleet front since" in found.members[0].held


def test_drift_that_was_seen_before_the_member_changed_is_forgotten() -> None:
    strayed = keeping.MemberBehind(name="web-1", zone="z", image=OLD)
    drift = keeping.DriftEvent(
        **of(OLD, 2, image=None, dag_id="housekeeping", run_id="night"),
        reason=Reason.BEHIND,
        detail=keeping.DriftDetail(
            fleet="front", newest=NEW, on_newest=0, pinned=NEW, strayed=(strayed,)
        ),
    )
    seen = [*promoted(OLD), *promoted(NEW, 1), listed("front", OLD, ["web-1"], 2), drift]
    assert "runs another image" in model(*seen).members[0].drift
    detail = rolling.MemberDetail(
        fleet="front",
        member="web-1",
        zone="z",
        instance_id="1",
        disk="d",
        image_id="2",
        old_image=OLD,
        old_image_id="1",
        state="replaced",
        why="",
    )
    fields = of(NEW, 4, dag_id="roll_out__front", run_id="r")
    moved = rolling.MemberReplacedEvent(**fields, reason=Reason.NEW_IMAGE, detail=detail)
    assert model(*seen, moved).members[0].drift == ""


SEEN = Scope(recipes={"web"}, fleets={"front"})
TWO = model(*promoted(OLD), *promoted(NEW, 1), listed("front", OLD, ["web-1"], 2), planned(NEW, 3))


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(), [NEW, OLD]),
        (Wanted(search="aaaa"), [OLD]),
        (Wanted(search="AAAA"), [OLD]),
        (Wanted(search=NEW[:19]), [NEW]),
        (Wanted(search="<script>"), [NEW, OLD]),
        (Wanted(search="zz"), []),
        (Wanted(recipe="api"), []),
        (Wanted(fleet="front"), [NEW, OLD]),
        (Wanted(fleet="nobody"), []),
        (Wanted(states=[ImageState.REVOKED]), []),
        (Wanted(first=date(2026, 11, 26)), []),
        (Wanted(last=date(2026, 11, 25)), [NEW, OLD]),
    ],
)
def test_images_are_chosen_by_every_filter(wanted: Wanted, found: list[str]) -> None:
    assert [row.image for row in queries.images(TWO, wanted, SEEN)] == found


def test_who_may_read_no_dag_of_a_recipe_or_fleet_sees_nothing_of_it() -> None:
    nobody = Scope(recipes=set(), fleets=set())
    assert queries.images(TWO, Wanted(), nobody) == []
    assert queries.members(TWO, Wanted(), nobody) == []
    assert queries.timeline(TWO, Wanted(), nobody) == []


def test_the_timeline_tells_bakes_and_deploys_the_newest_first() -> None:
    told = [row.what for row in queries.timeline(TWO, Wanted(), SEEN)]
    assert told[0] is What.DEPLOY
    assert told[-1] is What.BAKE
    of_fleet = queries.timeline(TWO, Wanted(fleet="front"), SEEN)
    assert [row.what for row in of_fleet] == [What.DEPLOY]


def test_a_page_holds_what_is_asked_for_and_never_more_than_the_most() -> None:
    rows = list(range(1000))
    assert queries.page(rows, 990, 50) == tuple(range(990, 1000))
    assert len(queries.page(rows, 0, 1000)) == queries.MOST
