"""The ledger: one append-only record for each thing that happened, one object per event.

`<base>/events/<yyyy>/<mm>/<dd>/<time>-<kind>-<id>.json`. The id is made from run, kind and
subject, so that a task tried again writes the same object and not a second one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated, Any, Literal

from airflow.sdk import ObjectStoragePath
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

Kind = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


class Event(BaseModel):
    """What happened to which image or member, when, in which run, and why.

    `time` is when it belongs in the history (the run's own time, not the try's), so that a
    retry names the same object. `subject` tells two events of one kind in one run apart.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = Field(default=1, alias="schema")
    kind: Kind
    time: Annotated[AwareDatetime, AfterValidator(_utc)]
    dag_id: str
    run_id: str
    task_id: str
    recipe: str | None = None
    image: str | None = None
    git_sha: str | None = None
    reason: str | None = None
    subject: str = ""
    detail: dict[str, Any] = {}

    @property
    def id(self) -> str:
        """20 hex characters from run, kind and subject (the image, unless told)."""
        subject = self.subject or self.image or ""
        owner = "\n".join((self.dag_id, self.run_id, self.kind, subject))
        return sha256(owner.encode()).hexdigest()[:20]

    @property
    def path(self) -> str:
        """Below the ledger's base; sorts by time."""
        stamp = self.time.strftime("%Y%m%dT%H%M%S.%fZ")
        return f"events/{self.time:%Y/%m/%d}/{stamp}-{self.kind}-{self.id}.json"

    def to_json(self) -> str:
        form = self.model_dump(mode="json", by_alias=True)
        return json.dumps(form, sort_keys=True, ensure_ascii=False) + "\n"


class Ledger:
    """Writes and reads events below `base`, a URL that ObjectStoragePath understands.

    `file:///var/lib/ledger`, `gs://google_cloud_default@bucket/ledger`.
    """

    def __init__(self, base: str) -> None:
        self._base = ObjectStoragePath(base)

    def write(self, event: Event) -> str:
        """Write the event unless it is there already; answers with the object's URL."""
        target = self._base / event.path
        data = event.to_json().encode()
        try:
            if target.protocol in {"", "file"}:
                _create_file(Path(target.path), data)
            else:
                target.fs.pipe_file(target.path, data, mode="create")
        except FileExistsError:
            pass  # this run has written it in an earlier try: what was said first stands
        return str(target)

    def events(self) -> Iterator[Event]:
        """Every event, oldest first."""
        found = self._base.glob("events/*/*/*/*.json")
        for path in sorted(found, key=lambda path: path.name):
            yield Event.model_validate_json(path.read_text())


def _create_file(target: Path, data: bytes) -> None:
    """Whole or not at all, and never over another; raises FileExistsError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=target.parent, prefix=".") as half:
        half.write(data)
        half.flush()
        os.fsync(half.fileno())
        Path(half.name).chmod(0o644)
        os.link(half.name, target)
