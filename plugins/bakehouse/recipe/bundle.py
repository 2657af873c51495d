"""The rendered bundle of a bake, stored under its content key. Pure."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from urllib.parse import quote, unquote_to_bytes

from pydantic import ConfigDict, Field, ValidationError

from bakehouse.core.models import Frozen
from bakehouse.core.problems import problems_of
from bakehouse.recipe.commit import GitFile
from bakehouse.recipe.content_key import content_key
from bakehouse.recipe.model import Scalar
from bakehouse.recipe.render import Rendered


class BadBundle(ValueError):
    """Not a bundle, or not the one of its name."""


@dataclass(frozen=True)
class Bundle:
    """What the content key covers: bundles with the same key are the same."""

    rendered: Rendered
    base_image_id: str

    @property
    def content_key(self) -> str:
        """The content key, computed from the bundle."""
        return content_key(self.rendered, self.base_image_id)

    def to_bytes(self) -> bytes:
        """Return JSON, the same bytes for the same bundle."""
        stored = _Stored(
            schema=1, base_image_id=self.base_image_id, rendered=_content(self.rendered)
        )
        form = stored.model_dump(mode="json", by_alias=True)
        return f"{json.dumps(form, sort_keys=True, indent=1)}\n".encode()


def read_bundle(data: bytes, expected_key: str) -> Bundle:
    """Read a bundle that has this content key. Raises BadBundle."""
    try:
        stored = _Stored.model_validate_json(data)
    except ValidationError as broken:
        raise BadBundle(f"it is not a bundle: {problems_of(broken)}") from broken
    bundle = Bundle(_rendered(stored.rendered), stored.base_image_id)
    if bundle.content_key != expected_key:
        raise BadBundle(f"its content has the key {bundle.content_key}")
    return bundle


class StoredBundle(Frozen):
    """The location of a stored bundle, and its time."""

    recipe: str
    name: str
    content_key: str = ""  # empty for an incomplete bundle of a writer that was killed
    modified: datetime


class _File(Frozen):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    mode: int
    data: bytes


class _Content(Frozen):
    recipe: str
    vars: dict[str, Scalar]
    services: tuple[str, ...]
    bake_script: str
    smoke_script: str
    smoke_metadata: dict[str, str]
    files: dict[str, _File]  # by quoted path: git's names are bytes
    machine_type: str
    disk_gb: int
    image: dict[str, str | bool | None]


class _Stored(Frozen):
    version: Literal[1] = Field(alias="schema")
    base_image_id: str
    rendered: _Content


def _content(rendered: Rendered) -> _Content:
    files = {
        quote(os.fsencode(path)): _File(mode=file.mode, data=file.data)
        for path, file in rendered.files.items()
    }
    return _Content.model_validate({**vars(rendered), "files": files})


def _rendered(content: _Content) -> Rendered:
    files = {
        os.fsdecode(unquote_to_bytes(name)): GitFile(file.mode, file.data)
        for name, file in content.files.items()
    }
    return Rendered(**{**dict(content), "files": files})
