"""Subnetworks: the default network's, one in each region."""

from __future__ import annotations

from localgce.api import kept
from localgce.errors import Json
from localgce.http.call import Call
from localgce.http.listing import aggregated
from localgce.resources import catalog


def get(call: Call) -> Json:
    """One subnetwork."""
    return call.record().body


def list_(call: Call) -> Json:
    """Those of a region."""
    return kept.page(call, "subnetwork")


def aggregated_list(call: Call) -> Json:
    """Those of all regions."""
    bodies = [record.body for record in call.service.store.all("subnetworks", call.project)]
    return aggregated(call, "subnetwork", bodies, [f"regions/{r}" for r in catalog.REGIONS])
