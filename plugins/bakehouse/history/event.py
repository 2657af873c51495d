"""What every event of the ledger has in common. Pure."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
)

from bakehouse.core.models import Frozen
from bakehouse.core.reasons import Reason

SCHEMA: Final = 2


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


Moment = Annotated[AwareDatetime, AfterValidator(_utc)]
OptionalName = Annotated[str | None, BeforeValidator(_none_if_empty)]


class BadEvent(ValueError):
    """The text is not an event that this version can read; the message says why, in one line."""


def record_id(dag_id: str, run_id: str, kind: str, subject: str) -> str:
    """20 hex characters that two events of one kind, run and subject share."""
    owner = "\n".join((dag_id, run_id, kind, subject))
    return sha256(owner.encode()).hexdigest()[:20]


def record_path(time: datetime, kind: str, id_: str) -> str:
    """Where an event is, below the ledger's base; sorts by the run's time."""
    stamp = time.strftime("%Y%m%dT%H%M%S.%fZ")
    return f"events/{time:%Y/%m/%d}/{stamp}-{kind}-{id_}.json"


class Event(Frozen):
    """What happened to which image or member, when, in which run, and why.

    `time` is the run's own time and not the try's, so that a retry names the same object; `at` is
    when it happened, and the order of events. `subject` tells two events of one kind in one run
    apart.
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
        return record_id(self.dag_id, self.run_id, self.kind, self.subject or self.image or "")

    @property
    def happened(self) -> datetime:
        """When it happened; a record of schema 1 may know the run's time only."""
        return self.at or self.time

    @property
    def path(self) -> str:
        """Below the ledger's base; sorts by the run's time."""
        return record_path(self.time, self.kind, self.id)

    def to_json(self) -> str:
        """The object's content: one line."""
        form = self.model_dump(mode="json", by_alias=True)
        return json.dumps(form, sort_keys=True, ensure_ascii=False) + "\n"


class BakeRunEvent(Event):
    """An event of a bake's run: it always has a recipe, an image and a commit."""

    recipe: str
    image: str
    git_sha: str
