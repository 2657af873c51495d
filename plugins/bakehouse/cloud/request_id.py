"""The request id of a change: Compute Engine performs calls with the same id only once."""

from __future__ import annotations

import uuid


def request_id(run: str, task: str, step: str) -> str:
    """Return the request id of a step of a run and task."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"bakehouse:{run}/{task}/{step}"))
