"""Machine types."""

from __future__ import annotations

from localgce.errors import Json, not_found
from localgce.http.call import Call
from localgce.http.listing import aggregated, list_of
from localgce.resources import catalog


def get(call: Call) -> Json:
    """One machine type; custom ones are made as they are asked for."""
    zone, name = call.path["zone"], call.path["machineType"]
    found = catalog.machine_type_body(call.project, zone, name)
    if found is None:
        raise not_found(f"projects/{call.project}/{call.scope}/machineTypes/{name}")
    return found


def list_(call: Call) -> Json:
    """Those of a zone."""
    return list_of(call, "machineType", _bodies(call, call.path["zone"]))


def aggregated_list(call: Call) -> Json:
    """Those of all zones."""
    bodies = [body for zone in catalog.zones() for body in _bodies(call, zone)]
    return aggregated(call, "machineType", bodies, [f"zones/{zone}" for zone in catalog.zones()])


def _bodies(call: Call, zone: str) -> list[Json]:
    found = [
        catalog.machine_type_body(call.project, zone, name) for name in catalog.machine_types()
    ]
    return [body for body in found if body is not None]
