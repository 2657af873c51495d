"""Disk types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.api.method import Call, method
from localgce.core import catalog
from localgce.core.errors import not_found
from localgce.http.listing import list_of, zonal

if TYPE_CHECKING:
    from localgce.core.errors import Json


@method("compute.diskTypes.get")
def get(call: Call) -> Json:
    """One disk type."""
    name = call.path["diskType"]
    found = catalog.disk_type_body(call.context.project, call.context.zone, name)
    if found is None:
        raise not_found(f"{call.context.base}/diskTypes/{name}")
    return found


@method("compute.diskTypes.list")
def list_(call: Call) -> Json:
    """Those of a zone."""
    return list_of(call, "diskType", _bodies(call, call.context.zone))


@method("compute.diskTypes.aggregatedList")
def aggregated_list(call: Call) -> Json:
    """Those of all zones."""
    return zonal(
        call, "diskType", [body for zone in catalog.zones() for body in _bodies(call, zone)]
    )


def _bodies(call: Call, zone: str) -> list[Json]:
    names = catalog.disk_types()
    found = [catalog.disk_type_body(call.context.project, zone, name) for name in names]
    return [body for body in found if body is not None]
