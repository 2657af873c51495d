"""Passwords and keys of a stack, generated once for each state folder."""

from __future__ import annotations

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from devstack.private_file import write_private

if TYPE_CHECKING:
    from devstack.layout import Layout

USER = "admin"


@dataclass(frozen=True)
class Credentials:
    """They stay the same while the folder exists: its database needs the key it was made with."""

    password: str
    fernet_key: str
    api_secret: str
    jwt_secret: str

    @staticmethod
    def of(layout: Layout) -> Credentials:
        """Read or generate those of the folder, and write Airflow's password file."""
        try:
            known = Credentials(**json.loads(layout.credentials.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            known = Credentials(
                password=secrets.token_urlsafe(12),
                fernet_key=base64.urlsafe_b64encode(os.urandom(32)).decode(),
                api_secret=secrets.token_hex(32),
                jwt_secret=secrets.token_hex(32),
            )
            write_private(layout.credentials, json.dumps(asdict(known)))
        write_private(layout.passwords, json.dumps({USER: known.password}))
        return known
