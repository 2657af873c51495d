"""Stores the signed statements of images: `<ledger>/attestations/<image>/<id>.intoto.jsonl`.

One DSSE envelope a line, as in-toto's bundles have it. An object has all statements of one image,
is written once, and is named by the image's id: another image of the same name has another object.
A candidate that failed has the verdict of its smoke test, beside: `<id>.failed.jsonl`.
"""

from __future__ import annotations

import re
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING

from airflow.sdk import ObjectStoragePath

from bakehouse.history.objects import create
from bakehouse.recipe.base import RESOURCE_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable

ENDING = ".intoto.jsonl"
FAILED = ".failed.jsonl"
_NAME, _ID = re.compile(RESOURCE_NAME), re.compile(r"[0-9]{1,20}", re.ASCII)


class AttestationStore:
    """The statements below a ledger, a URL that ObjectStoragePath understands."""

    def __init__(self, ledger: str) -> None:
        self._base = ObjectStoragePath(ledger)

    def write(self, image: str, image_id: str, envelopes: bytes, ending: str = ENDING) -> str:
        """Write the statements unless some are there already; return the object's URL."""
        target = self._object(image, image_id, ending)
        with suppress(FileExistsError):  # of an earlier try: what was signed first stands
            create(target, envelopes)
        return str(target)

    def read(self, image: str, image_id: str, ending: str = ENDING) -> bytes | None:
        """The statements of the image of this name and id; None without any.

        `ending`: FAILED for the verdict of a candidate that failed.
        """
        if not (_NAME.fullmatch(image) and _ID.fullmatch(image_id)):
            return None
        with suppress(FileNotFoundError):
            return self._object(image, image_id, ending).read_bytes()
        return None

    def ids(self, image: str) -> tuple[str, ...]:
        """The ids of all images of this name that have statements."""
        if not _NAME.fullmatch(image):
            return ()
        found = self._base.glob(f"attestations/{image}/*{ENDING}")
        return tuple(sorted(path.name.removesuffix(ENDING) for path in found))

    def digests(self, paths: Iterable[str]) -> dict[str, str | None]:
        """The SHA-256 of files below the ledger; None of one that is missing."""
        return {path: self._digest(path) for path in paths}

    def _digest(self, path: str) -> str | None:
        parts = path.split("/")
        if ".." in parts or path.startswith("/"):
            return None
        with suppress(FileNotFoundError):
            return sha256((self._base / path).read_bytes()).hexdigest()
        return None

    def _object(self, image: str, image_id: str, ending: str) -> ObjectStoragePath:
        return self._base / "attestations" / image / f"{image_id}{ending}"
