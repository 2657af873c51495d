"""From the body of images.insert to the image; checks of the fields that can be changed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from localgce.core import errors, limits, links
from localgce.core.clock import timestamp
from localgce.core.errors import ApiError, Json, MachineError
from localgce.core.ids import numeric_id
from localgce.core.store import Record
from localgce.images.lookup import image_at
from localgce.machines.qemu.qcow2 import check_importable

if TYPE_CHECKING:
    from localgce.core.context import Context
    from localgce.core.store import Store

INHERITED = ("licenses", "architecture", "guestOsFeatures")
_SOURCES = ("sourceDisk", "sourceImage", "sourceSnapshot", "rawDisk")
_COPIED = (
    "description",
    "family",
    "guestOsFeatures",
    "licenses",
    "architecture",
    "licenseCodes",
    "shieldedInstanceInitialState",
)
_KEYS = (
    *("imageEncryptionKey", "sourceDiskEncryptionKey", "sourceImageEncryptionKey"),
    "sourceSnapshotEncryptionKey",
)
_KNOWN = {
    *(*_SOURCES, *_COPIED, *_KEYS),
    *("kind", "name", "labels", "labelFingerprint", "storageLocations", "diskSizeGb"),
    *("sourceType", "params", "archiveSizeBytes"),
}
PATCHED = ("family", "description", "architecture", "deprecated")
_TIMES = ("deprecated", "obsolete", "deleted")
_NAME = re.compile(r"^(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)\Z")
_LOCATION = re.compile(r"^(us|eu|asia|[a-z]+-[a-z]+[0-9]+)\Z")
_TIME = re.compile(r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?\Z")


def check_family(body: Json) -> None:
    """Raise 400 for a family that is not a resource name; it may be missing or empty."""
    family = body.get("family", "")
    if family and not _NAME.match(family):
        problem = f"Must be a match of regex '{_NAME.pattern[1:-2]}'"
        raise errors.invalid("resource.family", family, problem)


def deprecation(given: Json) -> Json | None:
    """A DeprecationStatus as it is stored; an empty one clears it.

    The state ACTIVE is stored like the others. Raises 400 for what is not a time.
    """
    for key in _TIMES:
        if key in given:
            _check_time(given[key], f"resource.{key}")
    return given or None


def plan(context: Context, body: Json, *, force: bool) -> Record:
    """The image in status PENDING; raises Compute Engine's 400s and 404s.

    `force` accepts a disk of a running instance.
    """
    limits.check_labels(body.get("labels", {}))
    limits.check_description(body.get("description", ""))
    limits.refuse_others(body, _KNOWN, "resource")
    for key in _KEYS:
        limits.check_encryption_key(body.get(key), f"resource.{key}")
    check_family(body)
    _check_locations(body.get("storageLocations", []))
    given = [name for name in _SOURCES if name in body]
    if len(given) != 1:
        text = "Exactly one of sourceDisk, sourceImage, sourceSnapshot or rawDisk.source is needed."
        raise errors.invalid("resource", ", ".join(given), text)
    origin = _file(body) if given[0] == "rawDisk" else _resource(context, body, given[0], force)
    now = context.now()
    path = f"projects/{context.project}/global/images/{body['name']}"
    shown: Json = {
        "kind": "compute#image",
        "id": numeric_id(),
        "creationTimestamp": timestamp(now),
        "name": body["name"],
        "selfLink": links.url(path),
        "sourceType": "RAW",
        "status": "PENDING",
        "archiveSizeBytes": "0",
        "diskSizeGb": str(max(origin.size_gb, int(body.get("diskSizeGb", 0)))),
        **origin.shown,
        "storageLocations": body.get("storageLocations") or ["us"],
        "enableConfidentialCompute": False,
        **limits.label_fields(body.get("labels")),
        **{key: body[key] for key in _COPIED if key in body},
        **limits.shown_keys(body, *_KEYS),
    }
    private = {"layer": shown["id"], "at": now, **origin.private}
    return Record("images", context.project, "global", body["name"], shown, private)


@dataclass(frozen=True)
class _Origin:
    """What an image is made from: its size, what the image shows of it, how it is found again."""

    size_gb: int
    shown: Json
    private: Json


def _resource(context: Context, body: Json, field: str, force: bool) -> _Origin:
    source = _source(context, body, field, force=force)
    shown = {
        field: source.link,
        f"{field}Id": source.id,
        **{key: source.body[key] for key in INHERITED if key in source.body},
    }
    private = {"source": [source.kind, source.project, source.scope, source.name]}
    return _Origin(int(source.body.get("diskSizeGb") or source.body["sizeGb"]), shown, private)


def _file(body: Json) -> _Origin:
    """A qcow2 or raw disk on this computer, named by a `file:` URL."""
    where, url = "resource.rawDisk.source", str(body["rawDisk"].get("source", ""))
    parts = urlsplit(url)
    if parts.scheme != "file" or parts.netloc not in {"", "localhost"}:
        text = "localgce imports files of this computer only: file:///PATH of a qcow2 or raw disk."
        raise errors.invalid(where, url, text)
    path = Path(unquote(parts.path))
    try:
        size = check_importable(path).size
    except MachineError as error:
        raise errors.invalid(where, url, f"{error}.") from None
    shown: Json = {"rawDisk": {"containerType": "TAR", "source": url}, "architecture": "X86_64"}
    return _Origin(-(-size // (1 << 30)), shown, {"file": str(path)})


def _check_locations(given: list[str]) -> None:
    for index, location in enumerate(given):
        if not _LOCATION.match(location):
            text = "Must be a region, us, eu or asia."
            raise errors.invalid(f"resource.storageLocations[{index}]", location, text)


def _source(context: Context, body: Json, field: str, *, force: bool) -> Record:
    where = f"resource.{field}"
    if field == "sourceImage":
        return image_at(context, body[field], where)
    source = context.at(context.link(body[field], where))
    if source.kind not in {"disks", "snapshots"}:
        raise errors.invalid(where, body[field], "The URL is malformed.")
    if field == "sourceDisk":
        _check_disk(context, source, force=force)
    return source


def _check_disk(context: Context, disk: Record, *, force: bool) -> None:
    if disk.body["status"] != "READY":
        raise errors.not_ready(disk.path)
    user = running_user(context.store, disk)
    if user is not None and not force:
        raise errors.in_use(disk.path, user.path)


def running_user(store: Store, disk: Record) -> Record | None:
    """The instance that has the disk and is not TERMINATED."""
    for link in disk.body.get("users", []):
        instance = store.at(links.parse(link, project=disk.project, field="users"))
        if instance is not None and instance.body["status"] != "TERMINATED":
            return instance
    return None


def _check_time(value: str, field: str) -> None:
    """Accept RFC 3339, a date alone, or a time without a zone, as `images.deprecate` does."""
    if not _TIME.match(value):
        raise ApiError(400, "invalid", f"Invalid value for field '{field}': '{value}'. Not a time.")
