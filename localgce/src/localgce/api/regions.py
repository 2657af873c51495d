"""Regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.api.method import Call, method
from localgce.core import catalog
from localgce.core.errors import not_found
from localgce.http.listing import list_of

if TYPE_CHECKING:
    from localgce.core.errors import Json


@method("compute.regions.get")
def get(call: Call) -> Json:
    """One region."""
    region = call.path["region"]
    if region not in catalog.REGIONS:
        raise not_found(f"projects/{call.context.project}/regions/{region}")
    return _body(call, region)


@method("compute.regions.list")
def list_(call: Call) -> Json:
    """All regions."""
    return list_of(call, "region", [_body(call, region) for region in catalog.REGIONS])


def _body(call: Call, region: str) -> Json:
    project = call.context.project
    quotas = call.context.core.quotas.shown(project, region)
    return catalog.region_body(project, region, quotas)
