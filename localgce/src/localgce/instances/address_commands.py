"""The commands on reserved addresses, which outlive the instances that use them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core import crud, limits
from localgce.core.addresses import addresses_of
from localgce.core.errors import ApiError, invalid

if TYPE_CHECKING:
    from localgce.core.context import Context
    from localgce.core.errors import Json
    from localgce.core.store import Record, Store
    from localgce.instances.addresses import Allocator


def insert(context: Context, allocator: Allocator, body: Json) -> Record:
    """Reserve an external address, or with `addressType` INTERNAL one of a subnetwork.

    A global one is for load balancers: an instance cannot have it.
    """
    kind = body.get("addressType", "EXTERNAL")
    given = body.get("address")
    everywhere = context.scope == "global"
    if everywhere and kind == "INTERNAL":
        text = "localgce has no global internal addresses (VPC peering, Private Service Connect)."
        raise invalid("resource.addressType", kind, text)
    more: Json = {"addressType": kind, "status": "RESERVED"}
    if kind == "INTERNAL":
        link = body.get("subnetwork", f"{context.scope}/subnetworks/default")
        subnetwork = context.at(context.link(link, "resource.subnetwork"))
        more["address"] = allocator.reserve_internal(subnetwork, given)
        more.update(subnetwork=subnetwork.link, purpose="GCE_ENDPOINT", networkTier="PREMIUM")
    else:
        more["address"] = allocator.reserve_external(given)
        more["networkTier"] = body.get("networkTier", "PREMIUM")
    if everywhere:
        more["ipVersion"] = body.get("ipVersion", "IPV4")
    labels = limits.label_fields(body.get("labels"))
    record = crud.new(context, "address", "addresses", body, **more, **labels)
    return crud.begin_insert(context, record)


def delete(context: Context, address: Record) -> Record:
    """Release an address that no instance uses."""
    user = users(context.store, context.project).get(str(address.body["address"]))
    if user:
        text = f"The address resource '{address.path}' is already being used by '{user}'"
        raise ApiError(400, "resourceInUseByAnotherResource", text)
    return crud.begin_delete(context, address)


def users(store: Store, project: str) -> dict[str, str]:
    """The paths of the instances that use addresses, by address."""
    instances = store.all("instances", project)
    return {address: record.path for record in instances for address in addresses_of(record)}
