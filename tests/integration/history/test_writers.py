"""What the tasks write is what they wrote with schema 1, under the same names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from tests.support import plans
from tests.support.ledger import read_ledger
from tests.support.paths import PROJECT

from bakehouse.bake.builder import BuilderVm
from bakehouse.bake.candidate import Built, Candidate
from bakehouse.bake.ledger_records import (
    record_bake,
    record_builder_failed,
    record_covers,
    record_updates,
)
from bakehouse.bake.plan import BaseImage
from bakehouse.bake.shutdown import GuestError, Shutdown
from bakehouse.core.reasons import Reason
from bakehouse.history.bake_events import PromotionDetail
from bakehouse.history.events import LedgerEvent, parse_event
from bakehouse.history.rollout_events import MemberOutcome
from bakehouse.housekeeping import record as housekeeping
from bakehouse.housekeeping.drift import Drift, Member
from bakehouse.housekeeping.sweep import Found
from bakehouse.images.revocation import Revocation, RevokedImage
from bakehouse.promote.record import record_promotion
from bakehouse.recipe.commit import Commit
from bakehouse.retire.retirement import Action, Decision
from bakehouse.rollout import record as rollout
from bakehouse.rollout.plan import BootDisk, Change, RolloutPlan, Skipped, Target
from bakehouse.rollout.rollout_states import RolloutState
from bakehouse.rollout.strategies.swap import Swap
from bakehouse.sla.misses import Miss
from bakehouse.sla.record import record_miss
from bakehouse.smoke.evaluation import Check, SmokeResult
from bakehouse.smoke.record import record_verdict
from bakehouse.updates.compare import Update, Updates

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA_1 = PROJECT / "tests/unit/history/ledger_v1.jsonl"
NIGHT = datetime(2026, 11, 23, 3, 0, 7, 250000, tzinfo=UTC)
NAME, BEFORE = "web-20261123t0300-c0ffee0-1a2b", "web-20261122t0300-c0ffee0-9f3c"
PARENT, SHA = "jre-20261122t0300-c0ffee0-77aa", "c0ffee0123456789c0ffee0123456789c0ffee01"
URL = "https://www.googleapis.com/compute/v1/projects/p/global/images"
UPDATES = Updates(
    image=BEFORE,
    found=(
        Update(
            name="openssl",
            arch="amd64",
            installed="3.0.17-1~deb12u2",
            available="3.0.17-1~deb12u3",
            suite="bookworm-security",
            security=True,
        ),
    ),
    unread=("http://mirror.internal/dists/bookworm/InRelease: does not answer",),
    indexes=6,
)
COMMIT = Commit(
    sha=SHA,
    ref="HEAD",
    subject="Serve the new page",
    author_time=datetime(2026, 11, 22, 18, 30, tzinfo=UTC),
    author="Jo Example <jo@example.org>",
    dirty=("include/recipes/web.yaml",),
)
PLAN = plans.PLAN.model_copy(
    update={
        "commit": COMMIT,
        "run_id": "scheduled__2026-11-23T03:00:07.250000+00:00",
        "image_name": NAME,
        "content_key": "5e884898da28047151d0e56f8dc62927",
        "base_image": BaseImage(self_link=f"{URL}/{PARENT}", id="4711", name=PARENT),
        "parent": "jre",
        "promoted": PARENT,
        "snapshot": "20261123T000000Z",
        "reason": Reason.SECURITY_UPDATES,
        "existing_image": BEFORE,
        "updates": UPDATES,
        "created": NIGHT,
    }
)
BUILDER = BuilderVm(name="bake-web-0a1b2c3d-1", zone="us-central1-a")
TARGET = Target(id="815", name=NAME, self_link="x", recipe="web", git_sha=SHA)
OLD = Target(id="700", name=BEFORE, self_link="y", recipe="web")


def context(dag_id: str, run_id: str, task_id: str) -> Any:
    ti = SimpleNamespace(dag_id=dag_id, run_id=run_id, task_id=task_id)
    return {"ti": ti, "dag_run": SimpleNamespace(data_interval_end=NIGHT, run_after=NIGHT)}


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRFLOW_VAR_BAKEHOUSE_LEDGER", f"file://{tmp_path}")
    return tmp_path


def schema_1(dag_id: str) -> list[LedgerEvent]:
    """The records that a DAG wrote with schema 1, sorted by name."""
    every = [parse_event(line) for line in SCHEMA_1.read_text().splitlines()]
    return sorted((e for e in every if e.dag_id == dag_id), key=lambda event: event.path)


def written(ledger: Path) -> list[LedgerEvent]:
    return sorted(read_ledger(ledger), key=lambda event: event.path)


SINCE: dict[str, dict[str, Any]] = {
    "bake": {
        "machine_type": "",
        "spot": False,
        "disk_gb": None,
        "disk_type": "",
        "image_bytes": None,
    },
    "rollout_ended": {"state": "", "failed_here": False},
    "rollout_planned": {"members": (), "left": {}},
}
"""What details of a kind have since, with the values that an older record is read with."""


def is_the_same(now: LedgerEvent, before: LedgerEvent) -> bool:
    """But for the moment of writing, which every event has now, and what was added since."""
    detail = now.detail.model_copy(update=SINCE.get(now.kind, {}))
    return now.at is not None and now.model_copy(update={"detail": detail}) == before.model_copy(
        update={"at": now.at}
    )


def assert_as_before(ledger: Path, dag_id: str) -> None:
    now, before = written(ledger), schema_1(dag_id)
    assert [event.path for event in now] == [event.path for event in before]
    for new, old in zip(now, before, strict=True):
        assert is_the_same(new, old), (new, old)


def test_a_bake(ledger: Path) -> None:
    def task(task_id: str) -> Any:
        return context(PLAN.dag_id, PLAN.run_id, task_id)

    made = Candidate(name=NAME, id="815", self_link="x", size_gb=10, git_sha=SHA)
    error = GuestError(script="install.sh", line=3, command="false", exit_code=1)
    failed = Shutdown(reason=Reason.INSTALL_FAILED, message=str(error), error=error)
    check = Check(
        name="port",
        ok=True,
        description="nginx listens on 80",
        hint="is nginx enabled?",
        detail="80/tcp",
    )
    passed = SmokeResult(
        reason=Reason.SMOKE_PASSED, message="1 checks passed", checks=(check,), ready_seconds=14.25
    )
    past = PLAN.model_copy(
        update={
            "run_id": "backfill__2026-11-21T03:00:00+00:00",
            "history": True,
            "created": NIGHT - timedelta(days=2),
        }
    )
    promotion = PromotionDetail(
        family="web", image_id="815", previous=BEFORE, changes="1 upgraded (openssl)"
    )
    miss = Miss(
        task_id="smoke_test",
        sla_seconds=2400,
        state="running",
        deadline=NIGHT + timedelta(minutes=40),
        noticed=NIGHT + timedelta(minutes=40, seconds=1),
    )
    record_updates(task("need_bake"), PLAN)
    record_covers(context(past.dag_id, past.run_id, "need_bake"), past, BEFORE)
    record_builder_failed(task("wait_for_shutdown"), PLAN, BUILDER, failed)
    record_bake(task("create_image"), PLAN, made, Built(builder=BUILDER, seconds=412, packages=187))
    record_verdict(task("smoke_test"), PLAN, passed)
    record_promotion(task("promote_image"), PLAN, Reason.PROMOTED, promotion)
    record_miss(task("sla_watch")["ti"], "web", miss)
    assert_as_before(ledger, PLAN.dag_id)


def change(name: str) -> Change:
    old = BootDisk(
        name=f"{name}-boot",
        image_id="700",
        image=f"{URL}/{BEFORE}",
        device_name="persistent-disk-0",
        auto_delete=True,
        type="pd-balanced",
        size_gb=10,
    )
    number, disk = name[-1], f"{name}-1a2b3c4d"
    return Change(name=name, zone="us-central1-a", id=f"31{number}", disk=disk, old=old)


def swap(name: str, *, back: bool = False) -> Swap:
    moved = change(name)
    return Swap(
        member=name,
        zone=moved.zone,
        id=moved.id,
        fleet="web",
        run="aa11bb22cc33",
        way="back" if back else "forward",
        image=OLD if back else TARGET,
        disk=moved.old.name if back else moved.disk,
        kept=back,
        old=moved.old,
    )


def test_a_rollout(ledger: Path) -> None:
    def task(task_id: str) -> Any:
        run_id = "manual__2026-11-23T09:00:00+00:00"
        return context("roll_out__web", run_id, f"rollout.{task_id}")

    stopped = Skipped(name="web-4", reason=Reason.MEMBER_NOT_RUNNING, detail="TERMINATED")
    plan = RolloutPlan(
        fleet="web",
        run="aa11bb22cc33",
        image=TARGET,
        stages=((change("web-1"),), (change("web-2"), change("web-3"))),
        skipped=(stopped,),
    )
    healthy, lost = "healthy on boot 5f", "the instance is gone"
    outcomes = [
        MemberOutcome(
            member="web-1",
            way="forward",
            state="replaced",
            why=healthy,
            image=NAME,
            disk="web-1-1a2b3c4d",
        ),
        MemberOutcome(
            member="web-1", way="back", state="lost", why=lost, image=BEFORE, disk="web-1-boot"
        ),
    ]
    forward, back = task("replace_1"), task("undo")
    rollout.record_plan(task("plan"), plan)
    rollout.record_halted(task("replace_2"), swap("web-3"), "web-2 did not get healthy")
    rollout.record_member(forward, swap("web-1"), "replaced", healthy, 41.5)
    rollout.record_member(forward, swap("web-2"), "unhealthy", "says: nginx is not active", 60.25)
    rollout.record_member(back, swap("web-2", back=True), "replaced", "healthy on boot 60", 33)
    rollout.record_member(back, swap("web-1", back=True), "lost", lost, None)
    rollout.record_end(
        task("verdict"),
        plan,
        Reason.STAGE_FAILED,
        outcomes,
        RolloutState.ROLLED_BACK,
        failed_here=True,
    )
    assert_as_before(ledger, "roll_out__web")


def test_housekeeping(ledger: Path) -> None:
    def task(task_id: str) -> Any:
        return context("housekeeping", "scheduled__2026-11-23T06:00:00+00:00", task_id)

    def decision(image: str, number: str, do: Action, reason: Reason, **more: Any) -> Decision:
        return Decision(image=image, id=number, recipe="web", do=do, reason=reason, **more)

    disk = Found(
        kind="disk",
        name="bake-web-1",
        id="12",
        role="builder",
        recipe="web",
        run="0a1b2c3d4e5f",
        sweep=True,
        reason=Reason.RUN_ENDED,
        zone="us-central1-a",
        detail="bake__web scheduled__x: failed",
        attached=True,
    )
    image = Found(
        kind="image",
        name="web-20261101t0300-c0ffee0-0001",
        id="13",
        role="image",
        recipe="web",
        run="0a1b2c3d4e50",
        sweep=True,
        reason=Reason.EXPIRED,
    )
    body = {
        "state": "DEPRECATED",
        "deprecated": "2026-11-23T06:00:00+00:00",
        "obsolete": "2026-11-30T06:00:00+00:00",
        "deleted": "2026-12-07T06:00:00+00:00",
        "replacement": f"https://…/{NAME}",
    }
    late, obsolete = "it had no date for the next stage", {**body, "state": "OBSOLETE"}
    members = "fleet-1: the first, fleet-2"
    housekeeping.record_swept(task("sweep"), disk)
    housekeeping.record_swept(task("sweep"), image)
    for retired in (
        decision("web-1", "1", Action.DEPRECATE, Reason.NOT_KEPT, detail=late, body=body),
        decision("web-0", "2", Action.MAKE_OBSOLETE, Reason.REVOKED_BASE, body=obsolete),
        decision("web-00", "3", Action.DELETE, Reason.REVOKED),
    ):
        housekeeping.record_retired(task("retire"), retired)
    kept = [
        decision("web-2", "4", Action.LEAVE, Reason.USED_BY_INSTANCE, detail=members),
        decision("web-3", "5", Action.LEAVE, Reason.RECIPE_GONE),
    ]
    housekeeping.record_kept(task("retire"), "web", kept)
    housekeeping.record_kept(task("retire"), "app", [])
    behind = (
        Member(name="web-4", zone="us-central1-a", image="web-1", image_id="1", age_days=12.5),
        Member(name="web-5", zone="us-central1-b", image=""),
    )
    found = Drift(fleet="web", newest=NAME, on_newest=2, behind=behind)
    housekeeping.record_drift(task("show_drift"), "web", found)
    housekeeping.record_drift(task("show_drift"), "app", found.model_copy(update={"behind": ()}))
    assert_as_before(ledger, "housekeeping")


def test_a_revocation(ledger: Path) -> None:
    def task(task_id: str) -> Any:
        return context("revoke", "manual__2026-11-23T10:00:00+00:00", task_id)

    child = RevokedImage(name="web-2", id="4", recipe="web", git_sha=SHA)
    revoked = Revocation(
        image=RevokedImage(name="jre-2", id="7", recipe="jre", git_sha=SHA),
        why="it holds a key",
        descendants=(child, RevokedImage(name="old-1", id="8", recipe="")),
    )
    member = Member(name="web-4", zone="us-central1-a", image="web-2", image_id="4")
    housekeeping.record_revoked(task("revoke_image"), revoked)
    for marked in revoked.descendants:
        housekeeping.record_marked(task("mark_descendants"), revoked, marked)
    housekeeping.record_runs_revoked(task("name_members"), revoked, "web", member, child)
    assert_as_before(ledger, "revoke")
