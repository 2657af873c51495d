"""Service accounts: each project has the default one; tokens are well-formed but not valid."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING

from localgce.core.catalog import fixed_id

if TYPE_CHECKING:
    from collections.abc import Mapping

SCOPES = "https://www.googleapis.com/auth/cloud-platform"
LIFETIME = 3599  # seconds


def service_account(project: str) -> str:
    """The default service account's address."""
    return f"{fixed_id(f'projects/{project}')}-compute@developer.gserviceaccount.com"


def token(instance_id: str, now: float) -> dict[str, object]:
    """`{access_token, expires_in, token_type}`; the same token until it expires."""
    period, passed = divmod(int(now), LIFETIME)
    secret = hashlib.sha256(f"{instance_id}/{period}".encode()).digest()
    text = base64.urlsafe_b64encode(secret * 4).decode().rstrip("=")
    return {
        "access_token": f"ya29.c.localgce-{text}",
        "expires_in": LIFETIME - passed,
        "token_type": "Bearer",
    }


def identity(audience: str, email: str, instance_id: str, now: float) -> str:
    """A JSON Web Token of the right form, without a valid signature."""
    header = {"alg": "RS256", "kid": "localgce", "typ": "JWT"}
    claims = {
        "aud": audience,
        "azp": instance_id,
        "email": email,
        "email_verified": True,
        "exp": int(now) + 3600,
        "iat": int(now),
        "iss": "https://accounts.google.com",
        "sub": instance_id,
    }
    return ".".join([_part(header), _part(claims), base64.urlsafe_b64encode(bytes(256)).decode()])


def _part(value: Mapping[str, object]) -> str:
    text = json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")
