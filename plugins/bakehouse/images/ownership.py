"""Whether a resource belongs to a run, by the labels that stand in every insert body. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RUN = "bakehouse-run"


def is_owned(resource: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """The resource carries the run label of these labels."""
    own = labels.get(RUN)
    return own is not None and (resource.get("labels") or {}).get(RUN) == own


def of_run(run: str) -> str:
    """The filter of everything that a run made."""
    return f"labels.{RUN}={run}"


def zone_of(resource: Mapping[str, Any]) -> str:
    """The name of the zone that it is in."""
    return str(resource["zone"]).rsplit("/", 1)[-1]
