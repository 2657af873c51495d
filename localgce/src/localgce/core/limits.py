"""Limits on labels and metadata, and their fingerprints."""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from typing import TYPE_CHECKING

from localgce.core.errors import Json, condition_not_met, invalid
from localgce.core.ids import fingerprint

if TYPE_CHECKING:
    from collections.abc import Collection

_METADATA_KEY = re.compile(r"^[a-zA-Z0-9_-]{1,128}\Z")
_TAG = re.compile(r"^(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)\Z")
_DESCRIPTION = 2048
_KMS_KEY = re.compile(
    r"^projects/[^/]+/locations/[^/]+/keyRings/[\w-]{1,63}/cryptoKeys/[\w-]{1,63}"
    r"(/cryptoKeyVersions/\d+)?\Z"
)
_URL_SAFE = str.maketrans("-_", "+/")
_VALUE_BYTES = 256 * 1024
_TOTAL_BYTES = 512 * 1024


def check_labels(labels: dict[str, str], field: str = "resource.labels") -> None:
    """At most 64; keys 1 to 63, values 0 to 63 of lower case letters, digits, `_` and `-`."""
    if len(labels) > 64:
        raise invalid(field, len(labels), "A resource can have at most 64 labels.")
    for key, value in labels.items():
        if not key or len(key) > 63 or (not key[0].islower() and not _letter(key[0])):
            raise invalid(field, key, "Label keys begin with a lowercase letter, 63 at most.")
        if len(value) > 63 or not all(map(_allowed, key + value)):
            text = "Labels have lowercase letters, digits, '_' and '-', 63 at most."
            raise invalid(field, f"{key}={value}", text)


def refuse_others(given: Json, known: Collection[str], field: str) -> None:
    """Raise 400 for a field that localgce would drop: nothing is dropped in silence."""
    for name, value in given.items():
        if name not in known and value not in (None, "", [], {}, False):
            problem = "localgce does not support this field, and drops nothing in silence."
            raise invalid(f"{field}.{name}", value if isinstance(value, str) else "", problem)


def refuse_changes(now: Json, given: Json, changeable: Collection[str]) -> None:
    """Raise 400 for a field that would change and cannot: `now` is the resource as it is shown."""
    for name, value in given.items():
        same = now.get(name) == value or (name not in now and value in (None, "", [], {}, False))
        if name not in changeable and not same:
            shown = value if isinstance(value, str) else ""
            raise invalid(f"resource.{name}", shown, "This field cannot be changed.")


def check_description(text: str, field: str = "resource.description") -> None:
    """At most 2048 characters."""
    if len(text) > _DESCRIPTION:
        raise invalid(field, f"({len(text)} characters)", f"Must be at most {_DESCRIPTION} long.")


def check_encryption_key(key: Json | None, field: str) -> None:
    """A key of Cloud KMS is named by its path, a raw one has 256 bits; raises 400."""
    name = (key or {}).get("kmsKeyName")
    if name is not None and not _KMS_KEY.match(name):
        raise invalid(f"{field}.kmsKeyName", name, "Must be the path of a Cloud KMS key.")
    raw = (key or {}).get("rawKey")
    if raw is not None and len(_decoded(raw)) != 32:
        raise invalid(f"{field}.rawKey", "", "Must be a key of 256 bits in base64.")


def shown_keys(body: Json, *names: str) -> Json:
    """The customer's keys of a body as Compute Engine answers them: a raw one by its hash only."""
    found: Json = {}
    for name in names:
        key = body.get(name)
        if not key:
            continue
        shown = {k: v for k, v in key.items() if k not in {"rawKey", "rsaEncryptedKey"}}
        if "rawKey" in key:
            digest = hashlib.sha256(_decoded(key["rawKey"])).digest()
            shown["sha256"] = base64.b64encode(digest).decode()
        found[name] = shown
    return found


def _decoded(text: str) -> bytes:
    """Base64 of either alphabet; empty when it is none."""
    try:
        return base64.b64decode(text.translate(_URL_SAFE), validate=True)
    except ValueError:
        return b""


def check_tags(items: list[str], field: str) -> None:
    """At most 64 network tags, each a name as RFC 1035 has them."""
    if len(items) > 64:
        raise invalid(f"{field}.items", len(items), "An instance can have at most 64 tags.")
    for index, item in enumerate(items):
        if not _TAG.match(item):
            problem = f"Must be a match of regex '{_TAG.pattern[1:-2]}'"
            raise invalid(f"{field}.items[{index}]", item, problem)


def check_metadata(items: list[Json], field: str = "resource.metadata") -> None:
    """Unique, valid keys; values of at most 256 KiB each and 512 KiB in all."""
    total = 0
    seen: set[str] = set()
    for index, item in enumerate(items):
        key, value = item.get("key", ""), item.get("value", "")
        where = f"{field}.items[{index}]"
        if not _METADATA_KEY.match(key):
            raise invalid(f"{where}.key", key, "Must be a match of regex '[a-zA-Z0-9-_]{1,128}'")
        if key in seen:
            raise invalid(f"{where}.key", key, "Duplicate metadata key.")
        seen.add(key)
        size = len(value.encode())
        total += size + len(key)
        if size > _VALUE_BYTES:
            shown = f"({size} bytes)"
            raise invalid(f"{where}.value", shown, f"Value must be at most {_VALUE_BYTES} bytes.")
    if total > _TOTAL_BYTES:
        raise invalid(field, f"({total} bytes)", f"Total must be below {_TOTAL_BYTES} bytes.")


def metadata(raw: Json | None) -> Json:
    """A Metadata object as it is shown; items without a value get an empty one."""
    items = [
        {"key": item["key"], "value": item.get("value", "")}
        for item in (raw or {}).get("items", [])
    ]
    shown: Json = {"kind": "compute#metadata", "fingerprint": fingerprint(items)}
    return {**shown, "items": items} if items else shown


def label_fields(labels: dict[str, str] | None) -> Json:
    """`labels` and `labelFingerprint` of a resource."""
    shown: Json = {"labelFingerprint": fingerprint(labels or {})}
    return {**shown, "labels": labels} if labels else shown


def check_label_fingerprint(given: str | None, body: Json) -> None:
    """Raise 412 unless it is the current one; it may be omitted while there are no labels."""
    if not given and not body.get("labels"):
        return
    if given != body.get("labelFingerprint"):
        raise condition_not_met("Labels fingerprint either invalid or resource labels have changed")


def check_metadata_fingerprint(given: str | None, current: Json) -> None:
    """Raise 412 unless it is the current one; it may be omitted while there is no metadata."""
    if not given and not current.get("items"):
        return
    if given != current.get("fingerprint"):
        raise condition_not_met("Supplied fingerprint does not match current metadata fingerprint.")


def _letter(character: str) -> bool:
    return unicodedata.category(character) == "Lo"


def _allowed(character: str) -> bool:
    kind = unicodedata.category(character)
    return kind in {"Ll", "Lo", "Nd", "Nl", "No", "Mn", "Mc"} or character in "_-"
