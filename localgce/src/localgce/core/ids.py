"""Ids, operation names and fingerprints that the server generates."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets


def numeric_id() -> str:
    """A 64-bit id in decimal, never zero, as long as Compute Engine's."""
    return str(secrets.randbelow(8 * 10**18) + 10**18)


def operation_name(now: float) -> str:
    """`operation-<ms>-<hex>-<hex>-<hex>`."""
    parts = (secrets.token_hex(7)[:13], secrets.token_hex(4), secrets.token_hex(4))
    return f"operation-{int(now * 1000)}-{'-'.join(parts)}"


def fingerprint(value: object) -> str:
    """Eight bytes of the value's hash in URL-safe base64, such as `HcSFdS_1_1I=`."""
    digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()
    return base64.urlsafe_b64encode(digest[:8]).decode()
