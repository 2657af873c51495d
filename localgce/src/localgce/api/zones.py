"""Zones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.api.method import Call, method
from localgce.core import catalog
from localgce.core.errors import not_found
from localgce.http.listing import list_of

if TYPE_CHECKING:
    from localgce.core.errors import Json


@method("compute.zones.get")
def get(call: Call) -> Json:
    """One zone."""
    zone = call.path["zone"]
    if zone not in catalog.zones():
        raise not_found(f"projects/{call.context.project}/zones/{zone}")
    return catalog.zone_body(call.context.project, zone)


@method("compute.zones.list")
def list_(call: Call) -> Json:
    """All zones."""
    project = call.context.project
    return list_of(call, "zone", [catalog.zone_body(project, zone) for zone in catalog.zones()])
