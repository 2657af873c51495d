"""Networks: the default one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.api.method import Call, method
from localgce.http.listing import list_of

if TYPE_CHECKING:
    from localgce.core.errors import Json


@method("compute.networks.get")
def get(call: Call) -> Json:
    """One network."""
    return call.record().body


@method("compute.networks.list")
def list_(call: Call) -> Json:
    """The networks of the project."""
    return list_of(call, "network", [record.body for record in call.records()])
