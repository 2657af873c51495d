"""The plan of a rollout, which `planner` makes. Pure.

A member is an instance with its current boot disk. The plan keeps what a roll-back needs: the disk,
its image, and how it was attached. It keeps the rules of the fleet's file too, so that an edit of
that file changes no rollout that has begun.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import AwareDatetime, Field

from bakehouse.core.models import Frozen
from bakehouse.core.reasons import Reason
from bakehouse.images.formats import FormatRange
from bakehouse.rollout.config_change import MetadataChange
from bakehouse.rollout.differences import Difference
from bakehouse.rollout.machine import Machine
from bakehouse.rollout.mig_plan import GroupPlan
from bakehouse.rollout.plan_parts import Blocker, FleetRules, Forecast, GatesNow, ImageChange
from bakehouse.rollout.states import Strategy
from bakehouse.rollout.stored import Stored

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

REFUSALS = frozenset(
    {
        Reason.MEMBER_OF_GROUP,
        Reason.MEMBER_ON_HOLD,
        Reason.BOOT_DISK_NOT_REPLACEABLE,
        Reason.DATA_DISK_IN_USE,
        Reason.CANNOT_RENDER,
    }
)


class Target(Frozen):
    """The image to roll out, pinned."""

    id: str
    name: str
    self_link: str
    recipe: str
    git_sha: str = ""
    disk_gb: int = 1


class BootDisk(Frozen):
    """A boot disk and its attachment, complete enough to create a similar one."""

    name: str
    id: str = Field(default="", description="empty in what rollouts of older versions have stored")
    image_id: str = Field(description="empty if it was made of a snapshot, of a disk, or blank")
    image: str = Field(description="the URL of the image it was made from")
    made_of: str = Field(default="", description="if of no image: what else it was made of")
    device_name: str
    auto_delete: bool
    type: str
    size_gb: int
    labels: dict[str, str] = Field(default={})
    policies: tuple[str, ...] = ()
    kms_key: str | None = None


class Member(Frozen):
    """One instance; `boot` is None while its boot disk is detached by a swap."""

    name: str
    zone: str
    id: str
    status: str
    boot: BootDisk | None = None
    refused: Reason | None = Field(default=None, description="why no rollout may change it")
    refused_why: str = ""
    strategy: Strategy = Field(default=Strategy.SWAP, description="how it gets to an image")
    machine: Machine | None = Field(default=None, description="the instance to create")
    pinned: Machine | None = Field(default=None, description="the instance that it is")
    differs: tuple[Difference, ...] = Field(
        default=(), description="in what it differs from the fleet's template"
    )
    protected: bool = Field(default=False, description="Compute Engine refuses its deletion")
    key: str = Field(default="", description="by which the fleet's order_by sorts it")
    metadata: MetadataChange | None = Field(default=None, description="of the strategy render")
    at_start: MetadataChange | None = Field(
        default=None, description="other metadata that it gets while it is off for its swap"
    )


class WayBack(StrEnum):
    """What a member can go back to if the rollout fails."""

    DISK = "disk"  # its old disk is kept, and its image can make another one
    ONLY_DISK = "only_disk"  # its old disk is kept, and nothing else can make it
    IMAGE = "image"  # its old disk does not exist any more; a new one is made of its image
    CLOSED = "closed"  # neither
    METADATA = "metadata"  # its metadata, which are all that changes
    UNREADABLE = "unreadable"  # what it had cannot read its data any more
    NOTHING = "nothing"  # it does not exist yet


class Change(Frozen):
    """One member's replacement; `old` is its boot disk at the start of the run."""

    name: str
    zone: str
    id: str
    disk: str = Field(description="the name of the boot disk to be made")
    second_disk: str = Field(
        default="", description="of the fresh one, if the first try fails for the member's reason"
    )
    old: BootDisk
    strategy: Strategy = Field(default=Strategy.SWAP, description="how it gets to its goal")
    machine: Machine | None = Field(default=None, description="the instance to create")
    pinned: Machine | None = Field(default=None, description="the instance that it was")
    differs: tuple[Difference, ...] = Field(
        default=(), description="in what it differed from the fleet's template"
    )
    only_disk: str = Field(
        default="", description="why nothing can make its old disk again; empty if something can"
    )
    closed: str = Field(default="", description="why its old image cannot read its data any more")
    closes: str = Field(default="", description="what would keep its old image from reading them")
    kept: bool = Field(default=True, description="its old disk exists")
    protected: bool = Field(default=False, description="Compute Engine refuses its deletion")
    metadata: MetadataChange | None = Field(default=None, description="of the strategy render")
    at_start: MetadataChange | None = Field(
        default=None, description="other metadata that it gets while it is off for its swap"
    )

    @property
    def way_back(self) -> WayBack:
        """Which way back was open when the plan was made."""
        if self.strategy is Strategy.CREATE:
            return WayBack.NOTHING
        if self.metadata is not None:
            return WayBack.METADATA
        if self.closed:
            return WayBack.UNREADABLE
        if self.kept:
            return WayBack.ONLY_DISK if self.only_disk else WayBack.DISK
        return WayBack.CLOSED if self.only_disk else WayBack.IMAGE


class Skipped(Frozen):
    """A member that is not replaced."""

    name: str
    reason: Reason
    detail: str = ""
    differs: tuple[Difference, ...] = Field(
        default=(), description="in what it differs from the fleet's template"
    )


class Reported(Frozen):
    """A member that counts for `max_unavailable`, and its report when the plan was made."""

    name: str
    zone: str
    stamp: str = Field(default="", description="of the report; another one is a newer report")
    at: AwareDatetime = Field(description="when it was read, by the clock of the worker")
    ill: str = Field(default="", description="why it was ill then; empty: it was not")
    boot_id: str = Field(default="", description="of the report, by which it is given orders")
    gate: bool = Field(default=False, description="it can be asked whether it may be stopped")


class RolloutPlan(Stored):
    """The plan of a rollout, with one entry for each of the fleet's stages; each may be empty."""

    fleet: str
    run: str
    image: Target
    stages: tuple[tuple[Change, ...], ...]
    skipped: tuple[Skipped, ...] = ()
    reported: tuple[Reported, ...] = ()
    group: GroupPlan | None = Field(default=None, description="of the strategy mig, and no change")
    rules: FleetRules | None = Field(
        default=None, description="None in what rollouts of older versions have stored"
    )
    plan_only: bool = Field(default=False, description="nothing is changed by this run")
    begun: tuple[str, ...] = Field(
        default=(), description="members that an earlier try of this run has changed"
    )
    leaders: tuple[str, ...] = Field(default=(), description="they come last among their like")
    formats: dict[str, int] = Field(
        default={}, description="the versions that formats of the data have for good"
    )
    reads: dict[str, tuple[FormatRange, ...]] = Field(
        default={}, description="the formats that the images can read, by name"
    )
    unreadable: str = Field(default="", description="why the image cannot read the fleet's data")
    images: tuple[ImageChange, ...] = ()
    blockers: tuple[Blocker, ...] = ()
    forecast: Forecast | None = None
    gates: GatesNow | None = Field(
        default=None, description="None: there is none to ask, or an older version has planned"
    )

    @property
    def names_of_stages(self) -> tuple[tuple[str, ...], ...]:
        """The members of each stage; a managed instance group is one, in many stages."""
        if self.group is not None:
            return self.group.names_of_stages
        return tuple(tuple(change.name for change in stage) for stage in self.stages)

    @property
    def is_config(self) -> bool:
        """Whether all members that change get other metadata, and no other image."""
        changes = self.changes
        return bool(changes) and all(change.metadata is not None for change in changes)

    @property
    def left(self) -> dict[Reason, int]:
        """How many members are left as they are, by reason."""
        return dict(Counter(skipped.reason for skipped in self.skipped))

    def stage(self, number: int, last: int) -> tuple[Change, ...]:
        """Return the changes of a stage, counted from 1, of a run that has `last` stages.

        The file may have got more stages or fewer since. Then the plan's stages hold: those that
        the run has no tasks for belong to its last one.
        """
        stages = self.stages[number - 1 :] if number == last else self.stages[number - 1 : number]
        return tuple(change for stage in stages for change in stage)

    @property
    def changes(self) -> tuple[Change, ...]:
        """All changes in the order of the rollout."""
        return tuple(change for stage in self.stages for change in stage)

    @property
    def refused(self) -> tuple[Skipped, ...]:
        """The members that no rollout may change, if nobody else is left to move to the image."""
        reasons = {skipped.reason for skipped in self.skipped}
        on_purpose = reasons == {Reason.MEMBER_ON_HOLD}
        return () if self.changes or on_purpose or reasons - REFUSALS else self.skipped

    def judged(self, only_disk: Mapping[str, str]) -> RolloutPlan:
        """Return the plan with the members whose old disk is their only way back, and why."""
        stages = tuple(
            tuple(
                change.model_copy(update={"only_disk": only_disk.get(change.name, "")})
                for change in stage
            )
            for stage in self.stages
        )
        return self.model_copy(update={"stages": stages})

    def led_by(self, leaders: Collection[str]) -> RolloutPlan:
        """Return the plan with the leaders last among their like, which is all that moves."""
        ill = ill_before(self.reported)
        ordered = sorted(
            self.changes,
            key=lambda change: (rank(change, self.begun, ill), change.name in leaders),
        )
        counts = [len(stage) for stage in self.stages]
        named = tuple(change.name for change in ordered if change.name in leaders)
        return self.model_copy(update={"stages": tuple(divide(ordered, counts)), "leaders": named})


def ill_before(reports: Iterable[Reported]) -> set[str]:
    """Return the members that were ill when the plan was made."""
    return {report.name for report in reports if report.ill}


def rank(change: Change, begun: Collection[str], ill: Collection[str]) -> int:
    """Return 0 for what is begun or does not exist, 1 for who is ill, 2 for all others."""
    if change.name in begun or change.strategy is Strategy.CREATE:
        return 0
    return 1 if change.name in ill else 2


def divide(changes: Sequence[Change], counts: Sequence[int]) -> Iterable[tuple[Change, ...]]:
    """Yield the changes of each stage; `counts` says how many it has."""
    start = 0
    for count in counts:
        yield tuple(changes[start : start + count])
        start += count
