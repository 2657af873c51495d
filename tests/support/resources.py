"""Things as Compute Engine lists them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from bakehouse.images.names import run_label

NOW = datetime(2026, 11, 25, 6, 0, tzinfo=UTC)
BASE = "https://www.googleapis.com/compute/v1/projects/p"
DAG, RUN = "bake__web", "scheduled__2026-11-24T03:00:00+00:00"
IDS = count(1000)

Resource = dict[str, Any]


def image(name: str, days: float = 0, recipe: str = "web", **more: Any) -> Resource:
    """A promoted image that is so many days old; `labels` over its own, None removes one."""
    told = {
        "bakehouse-recipe": recipe,
        "bakehouse-run": run_label(DAG, RUN),
        "bakehouse-role": "image",
        "bakehouse-state": "promoted",
        **more.pop("labels", {}),
    }
    return {
        "name": name,
        "id": str(next(IDS)),
        "selfLink": f"{BASE}/global/images/{name}",
        "status": "READY",
        "creationTimestamp": (NOW - timedelta(days=days)).isoformat(),
        "family": recipe,
        "labels": {key: value for key, value in told.items() if value is not None},
        "description": f"{recipe} at {'a' * 40}, made by {DAG} {RUN}",
        **more,
    }


def owned(kind: str, name: str, role: str = "builder", **more: Any) -> Resource:
    """A machine or disk that the run made; it expires in two hours."""
    told = {
        "bakehouse-recipe": "web",
        "bakehouse-run": run_label(DAG, RUN),
        "bakehouse-role": role,
        "bakehouse-state": "candidate",
        "expires": str(int((NOW + timedelta(hours=2)).timestamp())),
        **more.pop("labels", {}),
    }
    return {
        "name": name,
        "id": str(next(IDS)),
        "zone": f"{BASE}/zones/us-central1-a",
        "selfLink": f"{BASE}/zones/us-central1-a/{kind}s/{name}",
        "status": "TERMINATED" if kind == "instance" else "READY",
        "labels": {key: value for key, value in told.items() if value is not None},
        "description": f"web at {'a' * 40}, made by {DAG} {RUN}",
        **more,
    }


def ago(**time: float) -> str:
    """A label `expires` of the past, or with a negative time of the future."""
    return str(int((NOW - timedelta(**time)).timestamp()))
