"""Events of a bake: what was built, tested and promoted, and which task was late. Pure."""

from __future__ import annotations

from typing import Literal

from pydantic import (
    AwareDatetime,
    Field,
)

from bakehouse.core.models import Frozen
from bakehouse.core.reasons import Reason
from bakehouse.history.event import BakeRunEvent, Event, Moment
from bakehouse.history.timeline import TimelineStep


class CommitRecord(Frozen):
    """The commit that was baked; `dirty`: files of the work tree that were not part of it."""

    sha: str
    ref: str
    subject: str
    author_time: AwareDatetime
    author: str
    dirty: tuple[str, ...] = ()


class BakeDetail(Frozen):
    """The image, what it is made from and how long the builder took."""

    image_id: str
    content_key: str
    base_image: str
    base_image_id: str = ""
    base_reason: Reason | None = None
    parent: str | None = None  # the recipe that the base image is of
    promoted: str | None = None  # the parent's image whose promotion asked for this run
    snapshot: str | None = None
    builder: str
    seconds: int
    packages: int | None = None  # None: the builder's manifest could not be read
    updates: str | None = None  # in words
    commit: CommitRecord
    timeline: tuple[TimelineStep, ...] = ()  # of the builder; older images have none
    machine_type: str = Field(default="", description="of the builder; older bakes have none")
    spot: bool = False
    disk_gb: int | None = None
    disk_type: str = ""
    image_bytes: int | None = Field(default=None, description="that the image stores")
    vars: dict[str, str | int | float | bool] = Field(
        default={}, description="of the form, over those of the recipe"
    )


class BakeEvent(BakeRunEvent):
    """An image was made."""

    kind: Literal["bake"] = "bake"
    detail: BakeDetail


class CoversDetail(Frozen):
    """The content that a run asked for."""

    date: Moment
    content_key: str
    commit: CommitRecord
    base_image: str
    base_reason: Reason
    history: bool  # of a backfill
    updates: str | None = None  # in words


class CoversEvent(BakeRunEvent):
    """The run's date is served by this image, whichever run has made it."""

    kind: Literal["covers"] = "covers"
    detail: CoversDetail


class ScriptError(Frozen):
    """Where an install script failed, as the guest reported it."""

    script: str
    line: int | None = None
    command: str = ""
    exit_code: int | None = None
    message: str = ""


class BuilderFailedDetail(Frozen):
    """The builder and its failure. Never lines of its output: see decision 56."""

    builder: str
    zone: str
    message: str
    error: ScriptError | None = None


class BuilderFailedEvent(BakeRunEvent):
    """A builder did not finish."""

    kind: Literal["builder_failed"] = "builder_failed"
    detail: BuilderFailedDetail


class UpdateRecord(Frozen):
    """One package of an image for which its sources have a newer version."""

    name: str
    arch: str
    installed: str
    available: str
    suite: str
    security: bool


class UpdatesDetail(Frozen):
    """What a look at the archives found."""

    found: tuple[UpdateRecord, ...] = ()
    unread: tuple[str, ...] = ()  # an index that could not be read, and why
    indexes: int = 0  # how many were read


class UpdatesEvent(BakeRunEvent):
    """Updates of a promoted image were looked for, and a bake followed."""

    kind: Literal["updates"] = "updates"
    detail: UpdatesDetail


class CheckRecord(Frozen):
    """One check of a smoke test."""

    name: str
    ok: bool
    description: str = ""
    hint: str = ""
    detail: str = ""


class VerdictDetail(Frozen):
    """The result of a smoke test."""

    message: str
    checks: tuple[CheckRecord, ...] = ()
    ready_seconds: float | None = None


class VerdictEvent(BakeRunEvent):
    """A candidate passed or failed its smoke test."""

    kind: Literal["verdict"] = "verdict"
    detail: VerdictDetail


class PromotionDetail(Frozen):
    """Where the image went, and what differs from the one promoted before it."""

    family: str | None  # None: an image of the history, or a machine image
    image_id: str
    previous: str | None = None
    changes: str | None = None  # in words


class PromotionEvent(BakeRunEvent):
    """An image was promoted."""

    kind: Literal["promotion"] = "promotion"
    detail: PromotionDetail


class SlaMissDetail(Frozen):
    """The task that is late, and its state when that was noticed."""

    task_id: str
    sla_seconds: float
    state: str
    deadline: AwareDatetime
    noticed: AwareDatetime


class SlaMissEvent(Event):
    """A task had not succeeded when its SLA passed; `recipe` is that of the run, or its fleet."""

    kind: Literal["sla_miss"] = "sla_miss"
    detail: SlaMissDetail
