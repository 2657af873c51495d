"""The tasks of `housekeeping` and `revoke` against a real localgce."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from tests.support.deadlines import SOON
from tests.support.events import NOW, bake, planned
from tests.support.ledger import AnEvent, of_kind, read_ledger

from bakehouse.core.errors import PermanentError, TransientError
from bakehouse.core.reasons import Reason
from bakehouse.history.fleet_events import MembersEvent
from bakehouse.history.housekeeping_events import (
    DriftEvent,
    ImageDeletedEvent,
    ImageDeprecatedEvent,
    ImageObsoleteEvent,
    ImagesKeptEvent,
    MarkedEvent,
    RevokedEvent,
    RunsRevokedEvent,
    SweptEvent,
)
from bakehouse.history.ledger import Ledger
from bakehouse.history.overview import rollouts
from bakehouse.history.rollout_events import RolloutCutShortEvent
from bakehouse.images.names import run_label
from bakehouse.lease.lease import Owner
from bakehouse.lease.store import lease_name, lease_of
from bakehouse.notify import send
from bakehouse.rollout.target_images import choose
from devstack.waiting import wait_until

from .conftest import ZONE, ready
from .walk import CONN, Walk

if TYPE_CHECKING:
    from pathlib import Path

    from devstack.gce_api import Compute

DAG, ENDED, ALIVE = "bake__web", "scheduled__ended", "manual__alive"
STATES = {ENDED: "failed", ALIVE: "running"}
RUNS = count(1)
CHANGES = (".insert", ".delete", ".patch", ".setLabels", ".deprecate")


def of_run(role: str, run: str = ENDED, **more: str) -> dict[str, Any]:
    """Labels and description, as a run gives them to what it makes."""
    later = str(int((datetime.now(UTC) + timedelta(hours=2)).timestamp()))
    told = {
        "bakehouse-recipe": "web",
        "bakehouse-run": run_label(DAG, run),
        "bakehouse-role": role,
        "bakehouse-state": "candidate",
        "expires": later,
        **{key.replace("_", "-"): value for key, value in more.items()},
    }
    return {"labels": told, "description": f"web at {'a' * 40}, made by {DAG} {run}"}


def image(compute: Compute, name: str, recipe: str = "web", **labels: str) -> dict[str, Any]:
    """A promoted one unless the labels say otherwise."""
    given = {"bakehouse_state": "promoted", "bakehouse_recipe": recipe, **labels}
    body = {"name": name, "sourceImage": "global/images/seed", **of_run("image", **given)}
    if given["bakehouse_state"] == "promoted":
        body["family"] = recipe
        del body["labels"]["expires"]
    compute.call("POST", "global/images", json=body)
    return ready(compute, name)


def machine(
    compute: Compute, name: str, source: str = "seed", deletes: bool = True, **owned: Any
) -> None:
    labels, description = owned.get("labels", {}), owned.get("description", "")
    disk = {"sourceImage": f"global/images/{source}", "labels": labels, "description": description}
    body = {
        "name": name,
        "machineType": f"zones/{ZONE}/machineTypes/e2-small",
        "networkInterfaces": [{"network": "global/networks/default"}],
        "disks": [{"boot": True, "autoDelete": deletes, "initializeParams": disk}],
        **owned,
    }
    compute.call("POST", f"zones/{ZONE}/instances", json=body)
    running = [name, "RUNNING"]
    wait_until(
        lambda: running in [[i["name"], i["status"]] for i in compute.instances()], SOON, name
    )


def walk(include: Path, run_type: str = "scheduled", **params: Any) -> Walk:
    return Walk(f"{run_type}__{next(RUNS)}", str(include), STATES, run_type, **params)


def standing(compute: Compute) -> set[str]:
    every = [*compute.instances(), *compute.disks(), *compute.images()]
    return {item["name"] for item in every} - {"seed"}


def changes(compute: Compute) -> list[str]:
    return [r["method"] for r in compute.requests()["requests"] if r["method"].endswith(CHANGES)]


def events(tmp_path: Path, *kinds: type[AnEvent]) -> list[AnEvent]:
    """Those of these kinds, kind by kind, sorted by subject."""
    read = sorted(read_ledger(tmp_path / "ledger"), key=lambda event: event.subject)
    return [event for kind in kinds for event in of_kind(kind, read)]


def state(compute: Compute, name: str) -> str:
    return str(compute.image(name).get("deprecated", {}).get("state", "ACTIVE"))


# -- the sweep -------------------------------------------------------------------------------------


def leak(compute: Compute) -> set[str]:
    """What runs left behind; the names of those that are to stay."""
    machine(compute, "bake-web-1", **of_run("builder"))
    machine(compute, "bake-web-2", deletes=False, **of_run("builder"))
    machine(compute, "smoke-web-1", **of_run("smoke"))
    machine(compute, "bake-web-kept", **of_run("builder", bakehouse_kept="until-it-expires"))
    machine(compute, "bake-web-alive", **of_run("builder", ALIVE))
    machine(compute, "somebodys")
    body = {"name": "bake-web-lost", "sizeGb": "1", **of_run("builder")}
    compute.call("POST", f"zones/{ZONE}/disks", json=body)
    image(compute, "web-candidate", bakehouse_state="candidate")
    image(compute, "web-failed", bakehouse_state="failed")
    image(compute, "web-failed-long-ago", bakehouse_state="failed", expires="1")
    image(compute, "web-history", bakehouse_state="history", expires="1")
    image(compute, "web-promoted")
    compute.forget()
    return {"bake-web-kept", "bake-web-alive", "somebodys", "web-failed", "web-history"} | {
        "web-promoted"
    }


@pytest.mark.long
def test_a_dry_run_says_what_a_sweep_would_do_and_the_sweep_does_it(
    compute: Compute, include: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stay = leak(compute)
    before = standing(compute)
    dry = walk(include, "manual")
    planned = dry.try_("plan_sweep")
    with pytest.raises(AirflowSkipException, match="changes nothing"):
        dry.try_("sweep")
    assert (standing(compute), changes(compute)) == (before, [])
    assert events(tmp_path, SweptEvent) == []
    told = capsys.readouterr().out
    assert "image web-failed: leave, it failed and is kept for inspection" in told
    assert f"instance bake-web-1: sweep, the run that created it has ended ({DAG} {ENDED}" in told
    assert "somebodys" not in told

    run = walk(include)
    swept = run.through("plan_sweep", "sweep")
    assert run.handed["plan_sweep"] == planned
    assert swept == [found for found in planned if found["sweep"]]
    assert standing(compute) == stay
    recorded = {(e.detail.kind, e.detail.name): e.reason for e in events(tmp_path, SweptEvent)}
    assert recorded.keys() == {(found["kind"], found["name"]) for found in swept}
    assert recorded["image", "web-failed-long-ago"] == "expired"
    assert recorded["disk", "bake-web-2"] == "run_ended"

    compute.forget()
    assert walk(include).through("plan_sweep", "sweep") == []
    assert changes(compute) == [], "a second night finds nothing"


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "name"),
    [("instances", "bake-web-1"), ("disks", "bake-web-lost"), ("images", "web-candidate")],
)
def test_what_is_refused_stops_no_other_and_the_next_try_does_the_rest(
    compute: Compute, include: Path, tmp_path: Path, kind: str, name: str
) -> None:
    stay = leak(compute)
    run = walk(include)
    run.try_("plan_sweep")
    compute.fault(kind="http", method=f"compute.{kind}.delete", status=400, resource=name, times=9)
    with pytest.raises(TransientError, match="1 were refused"):
        run.try_("sweep")
    assert standing(compute) - stay == {name}
    compute.forget()
    swept = run.try_("sweep")
    assert standing(compute) == stay
    assert len(swept) == len(events(tmp_path, SweptEvent))


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "name"),
    [("instances", "bake-web-2"), ("disks", "bake-web-lost"), ("images", "web-candidate")],
)
def test_a_deletion_whose_operation_fails_stops_no_other_and_is_asked_for_again(
    compute: Compute, include: Path, kind: str, name: str
) -> None:
    stay = leak(compute)
    run = walk(include)
    run.try_("plan_sweep")
    compute.fault(kind="operation", method=f"compute.{kind}.delete", resource=name)
    with pytest.raises(TransientError, match=name):
        run.try_("sweep")
    run.try_("sweep")
    assert standing(compute) == stay


def test_what_has_changed_since_the_plan_is_not_touched(compute: Compute, include: Path) -> None:
    machine(compute, "bake-web-1", **of_run("builder"))
    run = walk(include)
    assert len(run.try_("plan_sweep")) == 2
    run.states = {ENDED: "running"}  # somebody has cleared one of its tasks
    assert run.try_("sweep") == []
    assert standing(compute) == {"bake-web-1"}


def test_only_the_recipe_that_the_form_asks_for(compute: Compute, include: Path) -> None:
    machine(compute, "bake-web-1", **of_run("builder"))
    machine(compute, "bake-app-1", **of_run("builder", bakehouse_recipe="app"))
    walk(include, "manual", dry_run=False, recipe="app").through("plan_sweep", "sweep")
    assert standing(compute) == {"bake-web-1"}


# -- retire ----------------------------------------------------------------------------------------


def test_an_unused_image_goes_stage_by_stage_and_a_used_one_never(
    compute: Compute, include: Path, tmp_path: Path
) -> None:
    for name in ("web-1", "web-2", "web-3", "web-4"):
        image(compute, name)
    machine(compute, "fleet-1", "web-2")
    properties = {
        "machineType": "e2-small",
        "networkInterfaces": [{"network": "global/networks/default"}],
        "disks": [
            {"boot": True, "initializeParams": {"sourceImage": "global/images/web-3"}},
        ],
    }
    body = {"name": "t", "properties": properties}
    compute.call("POST", "global/instanceTemplates", json=body)
    image(compute, "gone-1", "gone")
    dry = walk(include, "manual")
    dry.try_("plan_retire")
    with pytest.raises(AirflowSkipException):
        dry.try_("retire")
    assert state(compute, "web-1") == "ACTIVE"
    seen = []
    for _ in range(3):
        done = walk(include).through("plan_retire", "retire")
        assert [decision["image"] for decision in done] == ["web-1"]
        seen.append("gone" if "web-1" not in standing(compute) else state(compute, "web-1"))
        time.sleep(1.1)  # the recipe's grace
    assert seen == ["DEPRECATED", "OBSOLETE", "gone"]
    assert walk(include).through("plan_retire", "retire") == []
    assert [state(compute, n) for n in ("web-2", "web-3", "web-4", "gone-1")] == ["ACTIVE"] * 4
    for stage in (ImageDeprecatedEvent, ImageObsoleteEvent, ImageDeletedEvent):
        (retired,) = events(tmp_path, stage)
        assert (retired.reason, retired.image) == (Reason.NOT_KEPT, "web-1")
    listed = [kept for event in events(tmp_path, ImagesKeptEvent) for kept in event.detail.kept]
    why = {kept.image: (kept.reason, kept.detail) for kept in listed}
    assert why["web-2"] == (Reason.USED_BY_INSTANCE, "fleet-1")
    assert why["web-3"] == (Reason.USED_BY_TEMPLATE, "t")
    assert why["gone-1"] == (Reason.RECIPE_GONE, "")


def test_retiring_killed_in_the_middle_is_right_when_it_is_done_again(
    compute: Compute, include: Path
) -> None:
    for name in ("web-1", "web-2", "web-3"):
        image(compute, name)
    run = walk(include)
    run.try_("plan_retire")
    compute.fault(
        kind="http", method="compute.images.deprecate", status=503, when="before", times=2
    )
    with pytest.raises(TransientError):
        run.try_("retire")
    done = run.try_("retire")
    assert sorted(decision["image"] for decision in done) == ["web-1", "web-2"]
    assert [state(compute, n) for n in ("web-1", "web-2", "web-3")] == [
        "DEPRECATED",
        "DEPRECATED",
        "ACTIVE",
    ]
    compute.forget()
    run.try_("retire")
    assert changes(compute) == []


def test_nothing_of_a_recipe_is_retired_while_a_rollout_of_it_goes_on(
    compute: Compute, include: Path
) -> None:
    for name in ("web-1", "web-2"):
        image(compute, name)
    from bakehouse.history.location import ledger_url

    lease, now = lease_of(ledger_url(), lease_name("web")), datetime.now(UTC)
    owner = Owner(dag_id="roll_out__web", run_id=ALIVE)
    assert lease.take(owner, lease.newest(), now, timedelta(hours=1))
    reasons = [d["reason"] for d in walk(include).try_("plan_retire")]
    assert reasons == ["familys_newest", "rollout_going_on"]
    assert lease.release(owner, now)
    assert [d["do"] for d in walk(include).try_("plan_retire")] == ["leave", "deprecate"]


def test_a_rollout_whose_run_was_deleted_is_recorded_as_cut_short(
    compute: Compute,  # ruff: ignore[unused-function-argument]  its connection and ledger
    include: Path,
) -> None:
    from bakehouse.history.location import ledger_url

    ledger = Ledger(ledger_url())
    for run_id in ("deleted", ALIVE):
        ledger.write(planned("web-2", {"m-0": "web-1"}, run_id=run_id))
    for _ in range(2):
        walk(include).try_("show_drift")
    (found,) = ledger.events(kinds=[RolloutCutShortEvent])
    assert isinstance(found, RolloutCutShortEvent)
    assert (found.run_id, found.detail.why) == ("deleted", "its run was deleted")
    assert {row.run_id: row.state for row in rollouts(ledger.events())} == {
        "deleted": "cut short",
        ALIVE: "under way",
    }


def test_drift_costs_two_lists_of_each_kind_and_one_read_of_a_member_without_reports(
    compute: Compute, include: Path, tmp_path: Path
) -> None:
    for name in ("web-1", "web-2"):
        image(compute, name)
    for n, source in enumerate(("web-1", "web-2", "web-1")):
        machine(compute, f"m-{n}", source, labels={"fleet": "web"})
    compute.forget()
    found = {drift["fleet"]: drift for drift in walk(include).try_("show_drift")}
    assert (found["web"]["newest"], found["web"]["on_newest"]) == ("web-2", 1)
    assert [m["name"] for m in found["web"]["behind"]] == ["m-0", "m-2"]
    methods = sorted(r["method"] for r in compute.requests()["requests"])
    assert methods == [
        *["compute.disks.aggregatedList"] * 2,
        *["compute.images.list"] * 2,
        *["compute.instances.aggregatedList"] * 2,
        *["compute.instances.getGuestAttributes"] * 3,
    ]
    assert found["web"]["ill"] == []
    reasons = {e.subject: e.reason for e in events(tmp_path, DriftEvent)}
    assert reasons == {"app": Reason.MEMBER_MISSING, "web": Reason.BEHIND}
    app, web = events(tmp_path, MembersEvent)
    assert app.detail.members == ()
    listed = {one.member: one.image for one in web.detail.members}
    assert listed == {"m-0": "web-1", "m-1": "web-2", "m-2": "web-1"}
    assert all(one.image_created is not None for one in web.detail.members)


@pytest.mark.usefixtures("compute")
def test_the_ledger_is_compacted_but_not_by_a_dry_run(include: Path, tmp_path: Path) -> None:
    from bakehouse.history.location import ledger_url

    long_ago = (datetime.now(UTC) - timedelta(days=9) - NOW) / timedelta(hours=1)
    Ledger(ledger_url()).write(bake("web-1", long_ago))
    with pytest.raises(AirflowSkipException, match="a dry run writes no segment"):
        walk(include, run_type="manual").try_("compact_ledger")
    assert not (tmp_path / "ledger/segments").exists()
    done = walk(include).try_("compact_ledger")
    assert list(done["records"].values()) == [1]
    assert len(list((tmp_path / "ledger/segments").rglob("*.gz"))) == 1
    assert walk(include).try_("compact_ledger") == {"records": {}, "added": 0, "removed": 0}


# -- revoke ----------------------------------------------------------------------------------------

REVOKE = ("find_image", "revoke_image", "mark_descendants", "name_members")


def test_revoke_reaches_image_descendants_and_members(
    compute: Compute, include: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setenv("AIRFLOW_VAR_BAKEHOUSE_NOTIFICATIONS", "on")
    monkeypatch.setattr(send, "_send", lambda _channel, sent: told.append(sent.text))
    recipe = include / "recipes/web.yaml"
    recipe.write_text(recipe.read_text() + "notify: [{notifier: smtp, occasions: [revoke]}]\n")
    image(compute, "web-1")
    bad = image(compute, "web-2")
    image(compute, "app-1", "app")
    child = image(compute, "app-2", "app", base_image_id=bad["id"])
    image(compute, "app-3", "app", base_image_id=child["id"], bakehouse_state="history")
    machine(compute, "m-1", "web-2", labels={"fleet": "web"})
    machine(compute, "m-2", "app-2", labels={"fleet": "app"})
    machine(compute, "m-3", "web-1", labels={"fleet": "web"})

    run = walk(include, "manual", image="web-2", why="it holds a key")
    named = run.through(*REVOKE)

    revoked = compute.image("web-2")
    assert revoked["labels"]["bakehouse-state"] == "revoked"
    assert revoked["deprecated"]["state"] == "OBSOLETE"
    assert revoked["deprecated"]["replacement"].endswith("/web-1")
    for name in ("app-2", "app-3"):
        marked = compute.image(name)
        assert marked["labels"]["revoked-base"] == bad["id"]
        assert marked["deprecated"]["state"] == "DEPRECATED"
    assert compute.newest_of("web")["name"] == "web-1"
    assert compute.newest_of("app")["name"] == "app-1"
    assert [(m["fleet"], m["member"], m["image"]) for m in named] == [
        ("app", "m-2", "app-2"),
        ("web", "m-1", "web-2"),
    ]
    (event,) = events(tmp_path, RevokedEvent)
    assert (event.image, event.detail.why) == ("web-2", "it holds a key")
    assert {e.image for e in events(tmp_path, MarkedEvent)} == {"app-2", "app-3"}
    assert [e.detail.member for e in events(tmp_path, RunsRevokedEvent)] == ["m-2", "m-1"]
    assert told == ["it holds a key. Members that run it: app/m-2, web/m-1"]

    from bakehouse.cloud.compute_hook import hook_of

    for recipe_name, name in [("web", "web-2"), ("app", "app-2"), ("app", "app-3")]:
        with pytest.raises(PermanentError, match="revoked"):
            choose(hook_of(CONN), recipe_name, name)
    assert choose(hook_of(CONN), "app", "").name == "app-1"

    compute.forget()
    again = walk(include, "manual", image=str(bad["id"]), why="once more, by its id")
    assert again.through(*REVOKE) == named
    assert changes(compute) == []


def test_a_machine_image_is_revoked_or_marked_by_its_labels(
    compute: Compute, include: Path
) -> None:
    bad = image(compute, "web-1")
    machine(compute, "source")
    for name, base in (("whole-1", "7"), ("whole-2", bad["id"])):
        told = of_run("image", bakehouse_state="promoted", base_image_id=base)
        body = {"name": name, "sourceInstance": f"zones/{ZONE}/instances/source", **told}
        compute.call("POST", "global/machineImages", json=body)

    def labels(name: str) -> dict[str, str]:
        found = compute.call("GET", f"global/machineImages/{name}")
        return dict(found["labels"]) if found["status"] == "READY" else {}

    wait_until(lambda: bool(labels("whole-1") and labels("whole-2")), SOON, "the machine images")
    walk(include, "manual", image="whole-1", why="a test").through(*REVOKE)
    assert labels("whole-1")["bakehouse-state"] == "revoked"
    walk(include, "manual", image="web-1", why="a test").through(*REVOKE)
    assert labels("whole-2")["revoked-base"] == bad["id"]
    assert labels("whole-2")["bakehouse-state"] == "promoted"
    for name in ("whole-1", "whole-2"):
        compute.call("DELETE", f"global/machineImages/{name}")


def test_revoke_killed_after_each_call_is_right_when_it_is_done_again(
    compute: Compute, include: Path
) -> None:
    bad = image(compute, "web-1")
    image(compute, "app-1", "app", base_image_id=bad["id"])
    run = walk(include, "manual", image="web-1", why="a test")
    run.try_("find_image")
    compute.fault(kind="http", method="compute.images.deprecate", status=400)
    for task_id in ("revoke_image", "mark_descendants"):
        with pytest.raises(TransientError):
            run.try_(task_id)
        run.try_(task_id)
        compute.fault(kind="http", method="compute.images.deprecate", status=400)
    assert (state(compute, "web-1"), state(compute, "app-1")) == ("OBSOLETE", "DEPRECATED")


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("web-promotd", "no image web-promotd exists .* did you mean web-promoted?"),
        ("web-candidate", "is not promoted"),
        ("seed", "not an image of Bakehouse"),
    ],
)
def test_revoke_refuses_what_it_cannot_revoke(
    compute: Compute, include: Path, wanted: str, said: str
) -> None:
    image(compute, "web-promoted")
    image(compute, "web-candidate", bakehouse_state="candidate")
    compute.forget()
    with pytest.raises(PermanentError, match=said):
        walk(include, "manual", image=wanted, why="a test").try_("find_image")
    assert changes(compute) == []


@pytest.mark.usefixtures("compute")
@pytest.mark.parametrize(
    ("run_type", "asked", "acts"),
    [
        ("scheduled", True, True),
        ("manual", True, False),
        ("manual", False, True),
        ("backfill", True, False),
    ],
)
def test_the_schedule_acts_and_the_form_only_when_it_says_so(
    include: Path, run_type: str, asked: bool, acts: bool
) -> None:
    run = walk(include, run_type, dry_run=asked)
    run.try_("plan_sweep")
    if acts:
        assert run.try_("sweep") == []
    else:
        with pytest.raises(AirflowSkipException):
            run.try_("sweep")


# -- 6.11: machine images -------------------------------------------------------------------------


def test_machine_images_are_swept_and_retired_like_images(compute: Compute, include: Path) -> None:
    machine(compute, "somebodys")
    for name, state in (("candidate", "candidate"), ("old", "promoted"), ("new", "promoted")):
        whole(compute, f"web-whole-{name}", state)
    whole(compute, "not-ours", None)

    def deleted_next() -> list[str]:
        planned = walk(include, "manual").try_("plan_retire")
        return [one["image"] for one in planned if one["do"] == "delete"]

    wait_until(lambda: deleted_next() == ["web-whole-old"], SOON, "both graces")
    run = walk(include)
    swept = run.through("plan_sweep", "sweep")
    assert [(one["kind"], one["name"]) for one in swept] == [
        ("machine image", "web-whole-candidate")
    ]
    done = run.through("plan_retire", "retire")
    assert [one["image"] for one in done] == ["web-whole-old"]
    left = {one["name"] for one in compute.listed("global/machineImages")}
    assert left == {"web-whole-new", "not-ours"}
    for name in left:
        compute.call("DELETE", f"global/machineImages/{name}")


def whole(compute: Compute, name: str, state: str | None) -> None:
    owned = of_run("image", bakehouse_state=state) if state else {}
    body = {"name": name, "sourceInstance": f"zones/{ZONE}/instances/somebodys", **owned}
    compute.call("POST", "global/machineImages", json=body)
    ready = [name, "READY"]
    found = "global/machineImages"
    wait_until(
        lambda: ready in [[i["name"], i["status"]] for i in compute.listed(found)], SOON, name
    )


@pytest.mark.usefixtures("compute")
def test_an_expired_bundle_is_swept_and_a_dry_run_names_it(
    include: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "ledger/bundles/web"
    folder.mkdir(parents=True)
    old, new = folder / f"{'a' * 40}.json", folder / f"{'b' * 40}.json"
    for file in (old, new):
        file.write_text("{}")
    month_ago = time.time() - 30 * 24 * 3600
    os.utime(old, (month_ago, month_ago))
    run = Walk(f"house_{next(RUNS)}", str(include), STATES)
    run.through("plan_sweep")
    assert f"bundle web/{old.name}: sweep, expired" in capsys.readouterr().out
    assert old.exists()
    run.through("sweep")
    assert [file.name for file in folder.iterdir()] == [new.name]
