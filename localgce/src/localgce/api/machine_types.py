"""Machine types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.api.method import Call, method
from localgce.core import catalog
from localgce.core.errors import not_found
from localgce.http.listing import list_of, zonal

if TYPE_CHECKING:
    from localgce.core.errors import Json


@method("compute.machineTypes.get")
def get(call: Call) -> Json:
    """One machine type, also a custom one."""
    name = call.path["machineType"]
    found = catalog.machine_type_body(call.context.project, call.context.zone, name)
    if found is None:
        raise not_found(f"{call.context.base}/machineTypes/{name}")
    return found


@method("compute.machineTypes.list")
def list_(call: Call) -> Json:
    """Those of a zone."""
    return list_of(call, "machineType", _bodies(call, call.context.zone))


@method("compute.machineTypes.aggregatedList")
def aggregated_list(call: Call) -> Json:
    """Those of all zones."""
    return zonal(
        call, "machineType", [body for zone in catalog.zones() for body in _bodies(call, zone)]
    )


def _bodies(call: Call, zone: str) -> list[Json]:
    names = catalog.machine_types()
    found = [catalog.machine_type_body(call.context.project, zone, name) for name in names]
    return [body for body in found if body is not None]
