"""Regions."""

from __future__ import annotations

from localgce.errors import Json, not_found
from localgce.http.call import Call
from localgce.http.listing import list_of
from localgce.resources import catalog


def get(call: Call) -> Json:
    """One region."""
    region = call.path["region"]
    if region not in catalog.REGIONS:
        raise not_found(f"projects/{call.project}/regions/{region}")
    return _body(call, region)


def list_(call: Call) -> Json:
    """All of them."""
    return list_of(call, "region", [_body(call, region) for region in catalog.REGIONS])


def _body(call: Call, region: str) -> Json:
    quotas = call.service.quotas.shown(call.project, region)
    return catalog.region_body(call.project, region, quotas)
