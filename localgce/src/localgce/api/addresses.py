"""Addresses: reserved ones, which outlive the instances that use them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.api.method import Call, method
from localgce.core import links
from localgce.http.listing import list_of, regional
from localgce.instances import address_commands

if TYPE_CHECKING:
    from localgce.core.errors import Json
    from localgce.core.store import Record


@method("compute.addresses.insert", "compute.globalAddresses.insert")
def insert(call: Call) -> Json:
    """Reserve an address."""
    return address_commands.insert(call.context, call.services.addresses, call.body).body


@method("compute.addresses.get", "compute.globalAddresses.get")
def get(call: Call) -> Json:
    """One address, with its user."""
    return _shown(call.record(), _users(call))


@method("compute.addresses.list", "compute.globalAddresses.list")
def list_(call: Call) -> Json:
    """The addresses of a region, or the global ones."""
    users = _users(call)
    return list_of(call, "address", [_shown(record, users) for record in call.records()])


@method("compute.addresses.aggregatedList")
def aggregated_list(call: Call) -> Json:
    """The addresses of all regions, and the global ones."""
    users = _users(call)
    records = call.records(everywhere=True)
    return regional(call, "address", [_shown(record, users) for record in records])


@method("compute.addresses.delete", "compute.globalAddresses.delete")
def delete(call: Call) -> Json:
    """Release an address."""
    return address_commands.delete(call.context, call.record()).body


def _users(call: Call) -> dict[str, str]:
    return address_commands.users(call.context.store, call.context.project)


def _shown(record: Record, users: dict[str, str]) -> Json:
    user = users.get(str(record.body["address"]))
    if user is None:
        return record.body
    return {**record.body, "status": "IN_USE", "users": [links.url(user)]}
