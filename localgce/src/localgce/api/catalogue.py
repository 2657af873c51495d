"""What there is to read only: accelerator types and the licenses of the public images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.api.method import Call, method
from localgce.core import catalog
from localgce.core.errors import not_found
from localgce.http.listing import list_of, zonal

if TYPE_CHECKING:
    from localgce.core.errors import Json


@method("compute.acceleratorTypes.get")
def get_accelerator_type(call: Call) -> Json:
    """One accelerator type."""
    name = call.path["acceleratorType"]
    if name not in catalog.ACCELERATORS:
        raise not_found(f"{call.context.base}/acceleratorTypes/{name}")
    return catalog.accelerator_body(call.context.project, call.context.zone, name)


@method("compute.acceleratorTypes.list")
def list_accelerator_types(call: Call) -> Json:
    """Those of a zone."""
    return list_of(call, "acceleratorType", _accelerators(call, call.context.zone))


@method("compute.acceleratorTypes.aggregatedList")
def aggregated_list_accelerator_types(call: Call) -> Json:
    """Those of all zones."""
    every = [body for zone in catalog.zones() for body in _accelerators(call, zone)]
    return zonal(call, "acceleratorType", every)


@method("compute.licenses.get")
def get_license(call: Call) -> Json:
    """One license."""
    project, name = call.context.project, call.path["license"]
    if project != catalog.DEBIAN_PROJECT or name not in catalog.LICENSES:
        raise not_found(f"{call.context.base}/licenses/{name}")
    return catalog.license_body(name)


@method("compute.licenses.list")
def list_licenses(call: Call) -> Json:
    """The licenses of a project: only the project of the public images has some."""
    own = catalog.LICENSES if call.context.project == catalog.DEBIAN_PROJECT else ()
    shown = list_of(call, "licenses", [catalog.license_body(name) for name in own])
    return {key: value for key, value in shown.items() if key != "kind"}


def _accelerators(call: Call, zone: str) -> list[Json]:
    project = call.context.project
    return [catalog.accelerator_body(project, zone, name) for name in catalog.ACCELERATORS]
