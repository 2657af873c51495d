"""Autoscalers: none exist, but clients that list groups ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.api.method import Call, method
from localgce.http.listing import list_of, zonal

if TYPE_CHECKING:
    from localgce.core.errors import Json


@method("compute.autoscalers.get")
def get(call: Call) -> Json:
    """Raise 404."""
    return call.record().body


@method("compute.autoscalers.list")
def list_(call: Call) -> Json:
    """An empty list."""
    return list_of(call, "autoscaler", [])


@method("compute.autoscalers.aggregatedList")
def aggregated_list(call: Call) -> Json:
    """Empty lists."""
    return zonal(call, "autoscaler", [])
