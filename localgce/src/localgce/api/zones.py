"""Zones."""

from __future__ import annotations

from localgce.errors import Json, not_found
from localgce.http.call import Call
from localgce.http.listing import list_of
from localgce.resources import catalog


def get(call: Call) -> Json:
    """One zone."""
    zone = call.path["zone"]
    if zone not in catalog.zones():
        raise not_found(f"projects/{call.project}/zones/{zone}")
    return catalog.zone_body(call.project, zone)


def list_(call: Call) -> Json:
    """All of them."""
    return list_of(call, "zone", [catalog.zone_body(call.project, z) for z in catalog.zones()])
