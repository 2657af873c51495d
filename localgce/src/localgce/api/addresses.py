"""Addresses: reserved ones, which outlive the instances that use them."""

from __future__ import annotations

from localgce.api import kept, labels
from localgce.errors import ApiError, Json
from localgce.http.call import Call
from localgce.http.listing import aggregated, list_of
from localgce.instances.addresses import held_by
from localgce.resources import catalog, links
from localgce.state.store import Record

set_labels = labels.set_labels


def insert(call: Call) -> Json:
    """An external address, or with `addressType` INTERNAL one of a subnetwork."""
    kind = call.body.get("addressType", "EXTERNAL")
    given = call.body.get("address")
    allocator = call.service.addresses
    more: Json = {"addressType": kind, "status": "RESERVED"}
    if kind == "INTERNAL":
        subnetwork = _subnetwork(call)
        more["address"] = allocator.reserve_internal(subnetwork, given)
        more.update(subnetwork=subnetwork.link, purpose="GCE_ENDPOINT", networkTier="PREMIUM")
    else:
        more["address"] = allocator.reserve_external(given)
        more["networkTier"] = call.body.get("networkTier", "PREMIUM")
    fields = kept.label_fields(call)
    return kept.begin_insert(call, kept.new(call, "address", **more, **fields))


def get(call: Call) -> Json:
    """One address, with who uses it."""
    return _shown(call.record(), _users(call))


def list_(call: Call) -> Json:
    """Those of a region."""
    users = _users(call)
    found = call.service.store.all("addresses", call.project, call.scope)
    return list_of(call, "address", [_shown(record, users) for record in found])


def aggregated_list(call: Call) -> Json:
    """Those of all regions."""
    users = _users(call)
    bodies = [_shown(r, users) for r in call.service.store.all("addresses", call.project)]
    return aggregated(call, "address", bodies, [f"regions/{r}" for r in catalog.REGIONS])


def delete(call: Call) -> Json:
    """Give it back; refused while an instance uses it."""
    record = call.record()
    user = _users(call).get(str(record.body["address"]))
    if user:
        text = f"The address resource '{record.path}' is already being used by '{user}'"
        raise ApiError(400, "resourceInUseByAnotherResource", text)
    return kept.begin_delete(call, record)


def _subnetwork(call: Call) -> Record:
    value = call.body.get("subnetwork", f"{call.scope}/subnetworks/default")
    return call.at(call.link(value, "resource.subnetwork"))


def _users(call: Call) -> dict[str, str]:
    instances = call.service.store.all("instances", call.project)
    return {address: record.path for record in instances for address in held_by(record)}


def _shown(record: Record, users: dict[str, str]) -> Json:
    user = users.get(str(record.body["address"]))
    if user is None:
        return record.body
    return {**record.body, "status": "IN_USE", "users": [links.url(user)]}
