"""What the ledger holds: one model per kind of event, told apart by `kind`. Pure.

A record is kept for ever, so these models are separate from those that tasks hand over. Records of
schema 1, which stay as they are, are read into the same models. A new field or kind that an older
Bakehouse cannot read needs a new schema number: it then says so instead of misreading the record.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    Field,
    TypeAdapter,
    ValidationError,
)

from bakehouse.core.problems import problem_of
from bakehouse.history.bake_events import (
    BakeEvent,
    BuilderFailedEvent,
    CoversEvent,
    PromotionEvent,
    SlaMissEvent,
    UpdatesEvent,
    VerdictEvent,
)
from bakehouse.history.event import (
    SCHEMA,
    BadEvent,
)
from bakehouse.history.fleet_events import (
    HoldReleasedEvent,
    ImageHeldEvent,
    MembersEvent,
    MissingFixesEvent,
)
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
from bakehouse.history.rollout_events import (
    DataFinalisedEvent,
    ImageRolledBackEvent,
    MemberReplacedEvent,
    MemberReplacedFailedEvent,
    MemberRolledBackEvent,
    MemberRolledBackFailedEvent,
    MemberSkippedEvent,
    RolloutCutShortEvent,
    RolloutEndedEvent,
    RolloutPlannedEvent,
)
from bakehouse.history.wait_events import WaitedEvent, WaitsEvent

if TYPE_CHECKING:
    from collections.abc import Callable

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
    | RolloutCutShortEvent
    | ImageRolledBackEvent
    | DataFinalisedEvent
    | WaitsEvent
    | WaitedEvent
    | SweptEvent
    | ImageDeprecatedEvent
    | ImageObsoleteEvent
    | ImageDeletedEvent
    | ImagesKeptEvent
    | DriftEvent
    | RevokedEvent
    | MarkedEvent
    | RunsRevokedEvent
    | MembersEvent
    | MissingFixesEvent
    | ImageHeldEvent
    | HoldReleasedEvent,
    Field(discriminator="kind"),
]
_EVENT: TypeAdapter[LedgerEvent] = TypeAdapter(LedgerEvent)


# -- reading --------------------------------------------------------------------------------------


def parse_event(text: str | bytes) -> LedgerEvent:
    """The event of one record, of any schema that there was. Raises BadEvent."""
    with suppress(ValidationError, RecursionError):
        return _EVENT.validate_json(text)  # five times as fast as what follows
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
        found.append(f"{place} {problem_of(error)}")
    return " ".join("; ".join(found).split())  # a field name may contain a line break
