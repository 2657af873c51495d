"""Subnetworks: those of the default network, one per region."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.api.method import Call, method
from localgce.http.listing import list_of, regional

if TYPE_CHECKING:
    from localgce.core.errors import Json


@method("compute.subnetworks.get")
def get(call: Call) -> Json:
    """One subnetwork."""
    return call.record().body


@method("compute.subnetworks.list")
def list_(call: Call) -> Json:
    """The subnetworks of a region."""
    return list_of(call, "subnetwork", [record.body for record in call.records()])


@method("compute.subnetworks.aggregatedList")
def aggregated_list(call: Call) -> Json:
    """The subnetworks of all regions."""
    bodies = [record.body for record in call.records(everywhere=True)]
    return regional(call, "subnetwork", bodies)
