"""The requestId of a change: Compute Engine carries out what has one id only once."""

from __future__ import annotations

import uuid


def request_id(run: str, task: str, step: str) -> str:
    """The same for the same step of the same run and task, another for any other."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"bakehouse:{run}/{task}/{step}"))
