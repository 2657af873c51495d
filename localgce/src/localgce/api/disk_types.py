"""Disk types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.api.method import Call, method
from localgce.core import catalog
from localgce.core.errors import not_found
from localgce.http.listing import aggregated, list_of

if TYPE_CHECKING:
    from localgce.core.errors import Json


@method("compute.diskTypes.get", "compute.regionDiskTypes.get")
def get(call: Call) -> Json:
    """One disk type."""
    name = call.path["diskType"]
    found = catalog.disk_type_body(call.context.project, call.context.scope, name)
    if found is None:
        raise not_found(f"{call.context.base}/diskTypes/{name}")
    return found


@method("compute.diskTypes.list", "compute.regionDiskTypes.list")
def list_(call: Call) -> Json:
    """Those of a zone or a region."""
    return list_of(call, _kind(call), _bodies(call, call.context.scope))


@method("compute.diskTypes.aggregatedList")
def aggregated_list(call: Call) -> Json:
    """Those of all zones and regions."""
    scopes = [f"zones/{zone}" for zone in catalog.zones()]
    scopes += [f"regions/{region}" for region in catalog.REGIONS]
    bodies = [body for scope in scopes for body in _bodies(call, scope)]
    return aggregated(call, "diskType", bodies, scopes)


def _kind(call: Call) -> str:
    return "regionDiskType" if call.method.resource == "regionDiskTypes" else "diskType"


def _bodies(call: Call, scope: str) -> list[Json]:
    names = catalog.disk_types(scope)
    found = [catalog.disk_type_body(call.context.project, scope, name) for name in names]
    return [body for body in found if body is not None]
