"""Events of the ledger for tests of what reads it: each function makes one, with few words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from bakehouse.core.reasons import Reason
from bakehouse.history.bake_events import BakeDetail, BakeEvent, CommitRecord, UpdateRecord
from bakehouse.history.fleet_events import (
    HoldReleasedDetail,
    HoldReleasedEvent,
    ImageHeldDetail,
    ImageHeldEvent,
    ListedMember,
    MembersDetail,
    MembersEvent,
    MissingFixesDetail,
    MissingFixesEvent,
)
from bakehouse.history.rollout_events import (
    MemberDetail,
    MemberOutcome,
    MemberReplacedEvent,
    MemberRolledBackEvent,
    PlannedMember,
    RolloutEndedDetail,
    RolloutEndedEvent,
    RolloutPlannedDetail,
    RolloutPlannedEvent,
)

NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
SHA = "c" * 40


def image(day: int, recipe: str = "web") -> str:
    """The name of the image of a day in November 2026."""
    return f"{recipe}-202611{day:02}t0300-{SHA[:7]}-{day:04x}"


def at(hours: float) -> datetime:
    return NOW + timedelta(hours=hours)


def run(hours: float, run_id: str = "manual__1", dag_id: str = "roll_out__web") -> dict[str, Any]:
    moment = at(hours)
    return {"time": moment, "at": moment, "dag_id": dag_id, "run_id": run_id, "task_id": "t"}


def bake(name: str, hours: float = 0, reason: Reason = Reason.FORCED, **more: Any) -> BakeEvent:
    recipe, sha = name.split("-202", 1)[0], more.pop("sha", SHA)
    commit = CommitRecord(
        sha=sha, ref="HEAD", subject=more.pop("subject", "A page"), author_time=NOW, author="Jo"
    )
    facts = {"image_id": f"id of {name}", "content_key": "k", "base_image": "debian-12-1"}
    detail = BakeDetail(**{**facts, "builder": "b", "seconds": 90, "commit": commit, **more})
    common = run(hours, f"scheduled__{name}", f"bake__{recipe}")
    return BakeEvent(**common, recipe=recipe, image=name, git_sha=sha, reason=reason, detail=detail)


def planned(
    name: str, members: dict[str, str], hours: float = 0, run_id: str = "manual__1", **more: Any
) -> RolloutPlannedEvent:
    """`members`: name -> the image that it had."""
    reason = more.pop("reason", Reason.NEW_IMAGE)
    detail = RolloutPlannedDetail(
        fleet="web",
        image_id=f"id of {name}",
        stages=(tuple(members),),
        members=tuple(
            PlannedMember(member=member, old_image=old, way_back="disk")
            for member, old in members.items()
        ),
        **more,
    )
    common = run(hours, run_id)
    return RolloutPlannedEvent(
        **common, recipe="web", image=name, git_sha=SHA, reason=reason, detail=detail
    )


def _member(name: str, member: str, old: str, **more: Any) -> MemberDetail:
    return MemberDetail(
        fleet="web",
        member=member,
        zone="here-a",
        instance_id="1",
        disk="d",
        image_id=f"id of {name}",
        old_image=old,
        old_image_id=f"id of {old}",
        state=more.get("state", "replaced"),
        why="healthy",
    )


def replaced(
    name: str, member: str, old: str, hours: float = 0, run_id: str = "manual__1", **more: Any
) -> MemberReplacedEvent:
    return MemberReplacedEvent(
        **run(hours, run_id),
        recipe="web",
        image=name,
        git_sha=SHA,
        reason=more.pop("reason", Reason.NEW_IMAGE),
        subject=member,
        detail=_member(name, member, old, **more),
    )


def rolled_back(
    name: str, member: str, hours: float = 0, run_id: str = "manual__1", **more: Any
) -> MemberRolledBackEvent:
    """`name`: the image that it has again."""
    return MemberRolledBackEvent(
        **run(hours, run_id),
        recipe="web",
        image=name,
        reason=Reason.STAGE_FAILED,
        subject=member,
        detail=_member(name, member, name, **more),
    )


def ended(
    name: str,
    hours: float = 0,
    run_id: str = "manual__1",
    reason: Reason = Reason.NEW_IMAGE,
    *outcomes: MemberOutcome,
    **more: Any,
) -> RolloutEndedEvent:
    detail = RolloutEndedDetail(fleet="web", image_id=f"id of {name}", outcomes=outcomes, **more)
    return RolloutEndedEvent(
        **run(hours, run_id), recipe="web", image=name, git_sha=SHA, reason=reason, detail=detail
    )


def outcome(
    member: str, way: Any = "forward", state: str = "replaced", **more: Any
) -> MemberOutcome:
    facts = {"why": "", "image": "", "disk": "", **more}
    return MemberOutcome(member=member, way=way, state=state, **facts)


def members(images: dict[str, str], hours: float = 0) -> MembersEvent:
    """A look at the fleet web: member -> image."""
    listed = tuple(
        ListedMember(member=member, zone="here-a", image=name, image_id=f"id of {name}")
        for member, name in images.items()
    )
    detail = MembersDetail(fleet="web", members=listed)
    common = run(hours, f"scheduled__{hours}", "housekeeping")
    return MembersEvent(**common, reason=Reason.MEMBERS_LISTED, subject="web", detail=detail)


def update(name: str, available: str, installed: str = "1.0-1", **more: Any) -> UpdateRecord:
    facts = {"arch": "amd64", "suite": "bookworm-security", "security": True, **more}
    return UpdateRecord(name=name, installed=installed, available=available, **facts)


def fixes(
    name: str, *found: UpdateRecord, hours: float = 0, unread: tuple[str, ...] = ()
) -> MissingFixesEvent:
    detail = MissingFixesDetail(image_id=f"id of {name}", found=found, unread=unread, indexes=2)
    common = run(hours, f"scheduled__{hours}", "housekeeping")
    reason = Reason.FIXES_MISSING if found else Reason.NO_FIX_MISSING
    return MissingFixesEvent(**common, image=name, reason=reason, subject=name, detail=detail)


def held(name: str, created: float, instead: str, hours: float = 0, **more: Any) -> ImageHeldEvent:
    """`created`: of the image, in hours."""
    detail = ImageHeldDetail(
        fleet="web",
        image_id=f"id of {name}",
        created=at(created),
        instead=instead,
        instead_id=f"id of {instead}",
        **{"by": "jo", "why": "", **more},
    )
    return ImageHeldEvent(
        **run(hours), image=name, reason=Reason.HELD, subject="web", detail=detail
    )


def released(hours: float = 0) -> HoldReleasedEvent:
    detail = HoldReleasedDetail(fleet="web", by="jo")
    common = run(hours, "manual__release")
    return HoldReleasedEvent(**common, reason=Reason.HOLD_RELEASED, subject="web", detail=detail)
