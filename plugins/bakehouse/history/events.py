"""What the ledger holds: one model per kind of event, told apart by `kind`. Pure.

A record is kept for ever, so these models are separate from those that tasks hand over. Records of
schema 1, which stay as they are, are read into the same models. A new field or kind that an older
Bakehouse cannot read needs a new schema number: it then says so instead of misreading the record.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    TypeAdapter,
    ValidationError,
)

from bakehouse.core.models import Frozen
from bakehouse.core.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMA: Final = 2


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


Moment = Annotated[AwareDatetime, AfterValidator(_utc)]
OptionalName = Annotated[str | None, BeforeValidator(_none_if_empty)]


class BadEvent(ValueError):
    """The text is not an event that this version can read; the message says why, in one line."""


class Event(Frozen):
    """What happened to which image or member, when, in which run, and why.

    `time` is the run's own time and not the try's, so that a retry names the same object; `at` is
    when the event was written. `subject` tells two events of one kind in one run apart.
    """

    version: Literal[2] = Field(default=SCHEMA, alias="schema")
    kind: str
    time: Moment
    at: Moment | None = None  # records of schema 1 do not all have it
    dag_id: str
    run_id: str
    task_id: str
    recipe: OptionalName = None
    image: OptionalName = None
    git_sha: OptionalName = None
    reason: Reason
    subject: str = ""

    @property
    def id(self) -> str:
        """20 hex characters from run, kind and subject (the image, unless given)."""
        subject = self.subject or self.image or ""
        owner = "\n".join((self.dag_id, self.run_id, self.kind, subject))
        return sha256(owner.encode()).hexdigest()[:20]

    @property
    def path(self) -> str:
        """Below the ledger's base; sorts by time."""
        stamp = self.time.strftime("%Y%m%dT%H%M%S.%fZ")
        return f"events/{self.time:%Y/%m/%d}/{stamp}-{self.kind}-{self.id}.json"

    def to_json(self) -> str:
        """The object's content: one line."""
        form = self.model_dump(mode="json", by_alias=True)
        return json.dumps(form, sort_keys=True, ensure_ascii=False) + "\n"


class BakeRunEvent(Event):
    """An event of a bake's run: it always has a recipe, an image and a commit."""

    recipe: str
    image: str
    git_sha: str


# -- a bake ---------------------------------------------------------------------------------------


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


# -- SLAs -----------------------------------------------------------------------------------------


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


# -- a rollout ------------------------------------------------------------------------------------


class RolloutPlannedDetail(Frozen):
    """The members of each stage."""

    fleet: str
    image_id: str
    stages: tuple[tuple[str, ...], ...]


class RolloutPlannedEvent(Event):
    """A rollout is about to begin."""

    kind: Literal["rollout_planned"] = "rollout_planned"
    detail: RolloutPlannedDetail


class MemberSkippedDetail(Frozen):
    """A member that is left alone; what it has is known only once its turn has come."""

    fleet: str
    member: str
    why: str
    image_id: str | None = None
    zone: str | None = None
    instance_id: str | None = None
    disk: str | None = None
    old_image: str | None = None
    old_image_id: str | None = None


class MemberSkippedEvent(Event):
    """A member was left alone, by the plan or because the rollout halted."""

    kind: Literal["member_skipped"] = "member_skipped"
    detail: MemberSkippedDetail


class MemberDetail(Frozen):
    """A member, what it had when the rollout began and how its replacement ended."""

    fleet: str
    member: str
    zone: str
    instance_id: str
    disk: str  # the boot disk that it was to have
    image_id: str
    old_image: str
    old_image_id: str
    state: str
    why: str
    seconds: float | None = None


class MemberReplacedEvent(Event):
    """A member runs the new image and is healthy."""

    kind: Literal["member_replaced"] = "member_replaced"
    detail: MemberDetail


class MemberReplacedFailedEvent(Event):
    """A member did not get healthy on the new image."""

    kind: Literal["member_replaced_failed"] = "member_replaced_failed"
    detail: MemberDetail


class MemberRolledBackEvent(Event):
    """A member runs the image that it had before."""

    kind: Literal["member_rolled_back"] = "member_rolled_back"
    detail: MemberDetail


class MemberRolledBackFailedEvent(Event):
    """A member did not get healthy on the image that it had before."""

    kind: Literal["member_rolled_back_failed"] = "member_rolled_back_failed"
    detail: MemberDetail


class MemberOutcome(Frozen):
    """How one member's replacement, or its way back, ended."""

    member: str
    way: Literal["forward", "back"]
    state: str
    why: str
    image: str
    disk: str


class RolloutEndedDetail(Frozen):
    """The outcome for each member, forward and then back."""

    fleet: str
    image_id: str
    outcomes: tuple[MemberOutcome, ...] = ()


class RolloutEndedEvent(Event):
    """A rollout ended, well or not: the reason says which."""

    kind: Literal["rollout_ended"] = "rollout_ended"
    detail: RolloutEndedDetail


# -- housekeeping ---------------------------------------------------------------------------------


class SweptDetail(Frozen):
    """A resource that no run owns any more."""

    kind: str  # instance, disk, image, machine image
    name: str
    id: str
    role: str
    run: str
    zone: str = ""
    detail: str = ""
    attached: bool = False


class SweptEvent(Event):
    """A resource is deleted now: written before the call."""

    kind: Literal["swept"] = "swept"
    detail: SweptDetail


RetiredStage = Literal["deprecate", "make_obsolete", "delete"]


class RetiredDetail(Frozen):
    """The stage that an image goes to; `body` is that of images.deprecate."""

    id: str
    do: RetiredStage
    detail: str = ""
    body: dict[str, str] = Field(default={})


class ImageDeprecatedEvent(Event):
    """An image becomes DEPRECATED: written before the call."""

    kind: Literal["image_deprecated"] = "image_deprecated"
    detail: RetiredDetail


class ImageObsoleteEvent(Event):
    """An image becomes OBSOLETE: written before the call."""

    kind: Literal["image_obsolete"] = "image_obsolete"
    detail: RetiredDetail


class ImageDeletedEvent(Event):
    """An image is deleted: written before the call."""

    kind: Literal["image_deleted"] = "image_deleted"
    detail: RetiredDetail


class KeptImage(Frozen):
    """An image that stays, and why."""

    image: str
    reason: Reason
    detail: str = ""


class ImagesKeptDetail(Frozen):
    """Images that the recipe's `image.keep` does not keep and that stay all the same."""

    kept: tuple[KeptImage, ...]


class ImagesKeptEvent(Event):
    """Why a recipe's other images stay."""

    kind: Literal["images_kept"] = "images_kept"
    detail: ImagesKeptDetail


class MemberBehind(Frozen):
    """A member and the image that its boot disk was made from."""

    name: str
    zone: str
    image: str  # empty when it has no boot disk
    image_id: str = ""
    age_days: float | None = None


class DriftDetail(Frozen):
    """A fleet against its recipe's newest promoted image."""

    fleet: str
    newest: str | None
    on_newest: int
    behind: tuple[MemberBehind, ...] = ()


class DriftEvent(Event):
    """A fleet is not all on the newest image."""

    kind: Literal["drift"] = "drift"
    detail: DriftDetail


# -- a revocation ---------------------------------------------------------------------------------


class RevokedDetail(Frozen):
    """Why, and the images that are built on it."""

    why: str
    image_id: str
    descendants: tuple[str, ...] = ()


class RevokedEvent(Event):
    """An image was revoked."""

    kind: Literal["revoked"] = "revoked"
    detail: RevokedDetail


class MarkedDetail(Frozen):
    """The image, and the revoked one that it is built on."""

    image_id: str
    revoked: str
    revoked_id: str


class MarkedEvent(Event):
    """An image that is built on a revoked one was labelled so."""

    kind: Literal["marked"] = "marked"
    detail: MarkedDetail


class RunsRevokedDetail(Frozen):
    """A member of a fleet and the image that it runs."""

    fleet: str
    member: str
    zone: str
    image: str
    revoked: str


class RunsRevokedEvent(Event):
    """A member runs a revoked image, or one built on it."""

    kind: Literal["runs_revoked"] = "runs_revoked"
    detail: RunsRevokedDetail


LedgerEvent = Annotated[
    BakeEvent
    | CoversEvent
    | BuilderFailedEvent
    | UpdatesEvent
    | VerdictEvent
    | PromotionEvent
    | SlaMissEvent
    | RolloutPlannedEvent
    | MemberSkippedEvent
    | MemberReplacedEvent
    | MemberReplacedFailedEvent
    | MemberRolledBackEvent
    | MemberRolledBackFailedEvent
    | RolloutEndedEvent
    | SweptEvent
    | ImageDeprecatedEvent
    | ImageObsoleteEvent
    | ImageDeletedEvent
    | ImagesKeptEvent
    | DriftEvent
    | RevokedEvent
    | MarkedEvent
    | RunsRevokedEvent,
    Field(discriminator="kind"),
]
_EVENT: TypeAdapter[LedgerEvent] = TypeAdapter(LedgerEvent)


# -- reading --------------------------------------------------------------------------------------


def parse_event(text: str | bytes) -> LedgerEvent:
    """The event of one record, of any schema that there was. Raises BadEvent."""
    try:
        form = json.loads(text)
    except (ValueError, RecursionError) as broken:
        raise BadEvent(f"it is not JSON: {broken}") from broken
    if not isinstance(form, dict):
        raise BadEvent("it is not a JSON object")
    try:
        return _EVENT.validate_python(_current(form))
    except ValidationError as invalid:
        raise BadEvent(_in_one_line(invalid)) from invalid


def _current(form: dict[str, Any]) -> dict[str, Any]:
    """The record as schema 2 has it."""
    schema = form.get("schema")
    if schema == 1:
        return _from_schema_1(form)
    if isinstance(schema, int) and schema > SCHEMA:
        raise BadEvent(f"it has schema {schema}; this version of Bakehouse reads 1 to {SCHEMA}")
    return form


def _from_schema_1(form: dict[str, Any]) -> dict[str, Any]:
    """The moment of writing stood in the detail, and two kinds had other details."""
    detail = form.get("detail")
    if not isinstance(detail, dict):
        return {**form, "schema": SCHEMA}
    at, rest = detail.get("at"), {k: v for k, v in detail.items() if k != "at"}
    convert = _DETAIL_OF_SCHEMA_1.get(str(form.get("kind")))
    return {**form, "schema": SCHEMA, "at": at, "detail": convert(rest) if convert else rest}


def _skipped_of_schema_1(detail: dict[str, Any]) -> dict[str, Any]:
    why = detail.get("why", detail.get("detail"))
    return {k: v for k, v in detail.items() if k != "detail"} | {"why": why}


def _kept_of_schema_1(detail: dict[str, Any]) -> dict[str, Any]:
    """Image -> `reason: detail`."""
    kept = detail.get("kept")
    if not isinstance(kept, dict):
        return detail
    parted = ((image, *str(text).partition(": ")) for image, text in kept.items())
    listed = [
        {"image": image, "reason": reason, "detail": more} for image, reason, _, more in parted
    ]
    return {**detail, "kept": listed}


_DETAIL_OF_SCHEMA_1: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "member_skipped": _skipped_of_schema_1,
    "images_kept": _kept_of_schema_1,
}


def _in_one_line(invalid: ValidationError) -> str:
    """What is wrong with which fields; the union's own tags are left out of their names."""
    found = []
    for error in invalid.errors(include_url=False):
        if error["type"] == "union_tag_not_found":
            return "its kind is missing"
        if error["type"] == "union_tag_invalid":
            return f"its kind {error['ctx']['tag']!r} is not known to this version of Bakehouse"
        place = ".".join(str(part) for part in error["loc"][1:]) or "record"
        found.append(f"{place}: {error['msg']}")
    return " ".join("; ".join(found).split())  # a field name may contain a line break
