"""The public keys whose signatures count, and which images may lack one: two Variables. Pure.

`bakehouse_trusted_keys` is a JSON object: a name -> a public key in PEM, or an object of
`public_key`, `scheme` (of RSA keys) and `since`. Bakehouse adds a key when it signs with it for the
first time, under the key's id. `bakehouse_unsigned_images` is described at `unsigned_rule`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from bakehouse.core.models import Frozen
from bakehouse.core.problems import problems_of
from bakehouse.core.time import parse_timestamp
from bakehouse.images.attestation import UnsignedRule

if TYPE_CHECKING:
    from collections.abc import Iterable

TRUSTED_KEYS = "bakehouse_trusted_keys"
UNSIGNED_IMAGES = "bakehouse_unsigned_images"
OLD, REFUSE, ALLOW = "old", "refuse", "allow"  # values of UNSIGNED_IMAGES, or a date
BEGIN = "-----BEGIN PUBLIC KEY-----"


class BadSetting(ValueError):
    """A Variable has a value that cannot be read; the message says which, and a remedy."""


class TrustedKey(Frozen):
    """A public key."""

    public_key: str
    """PEM."""
    scheme: str | None = None
    """Of securesystemslib, such as `rsa-pkcs1v15-sha256`; None: the usual one of its type."""
    since: AwareDatetime | None = None
    """When Bakehouse has first signed with it; None: a person has added it."""


_KEYS: TypeAdapter[dict[str, TrustedKey | str]] = TypeAdapter(dict[str, TrustedKey | str])


def parse_trusted_keys(text: str) -> dict[str, TrustedKey]:
    """Read the value of `bakehouse_trusted_keys`, by name. Raises BadSetting."""
    try:
        found = _KEYS.validate_python(json.loads(text or "{}"))
    except ValidationError as wrong:
        raise BadSetting(f"{TRUSTED_KEYS}: {problems_of(wrong)}") from wrong
    except (ValueError, RecursionError) as wrong:
        raise BadSetting(f"{TRUSTED_KEYS} is not JSON: {wrong}") from wrong
    keys = {
        name: TrustedKey(public_key=key) if isinstance(key, str) else key
        for name, key in found.items()
    }
    for name, key in keys.items():
        if not key.public_key.lstrip().startswith(BEGIN):
            raise BadSetting(f"{TRUSTED_KEYS}: {name} is no public key in PEM ({BEGIN})")
    return keys


def dump_trusted_keys(keys: dict[str, TrustedKey]) -> str:
    """The value that `parse_trusted_keys` reads."""
    form = {name: key.model_dump(mode="json", exclude_none=True) for name, key in keys.items()}
    return json.dumps(form, sort_keys=True)


def unsigned_rule(value: str, since: Iterable[datetime]) -> UnsignedRule:
    """Which images may lack their statements.

    Args:
        value: `old` or nothing: those that were made before Bakehouse has signed with its first
            key, and all while there is none. `refuse`: none. `allow`: all. Else a date, such as
            2026-12-01: those that were made before it.
        since: When each key was first used.

    Raises:
        BadSetting: It is none of these.
    """
    said = value.strip()
    word = said.lower()
    if word in {"", OLD}:
        first = min(since, default=None)
        why = "when the first image was signed"
        return UnsignedRule(
            before=first or datetime.max.replace(tzinfo=UTC), why=why if first else ""
        )
    if word == REFUSE:
        return UnsignedRule()
    if word == ALLOW:
        return UnsignedRule(allow=True)
    try:
        return UnsignedRule(before=parse_timestamp(said), why=f"the date of {UNSIGNED_IMAGES}")
    except ValueError as wrong:
        raise BadSetting(
            f"{UNSIGNED_IMAGES} is {said!r}: write {OLD}, {REFUSE}, {ALLOW}, or a date such as"
            " 2026-12-01"
        ) from wrong
