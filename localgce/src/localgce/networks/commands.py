"""The commands on networks and subnetworks.

The machines of one network reach each other, those of different networks do not. Routes, peerings
and the routing mode are recorded only.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from localgce.core import catalog, crud, errors, limits, links
from localgce.core.errors import ApiError
from localgce.core.ids import fingerprint

if TYPE_CHECKING:
    from localgce.core.context import Context
    from localgce.core.errors import Json
    from localgce.core.store import Record

_SUBNET_FIXED = {
    *("kind", "id", "creationTimestamp", "selfLink", "name", "region", "network"),
    *("ipCidrRange", "gatewayAddress", "fingerprint", "purpose"),
}
_NETWORK_CHANGED = ("routingConfig", "description", "mtu", "networkFirewallPolicyEnforcementOrder")


def insert(context: Context, body: Json) -> Record:
    """Create a network: in auto mode with a subnetwork for each region, in custom mode without."""
    if "IPv4Range" in body:
        text = "Legacy networks are not there any more: set autoCreateSubnetworks."
        raise errors.invalid("resource.IPv4Range", body["IPv4Range"], text)
    auto = bool(body.get("autoCreateSubnetworks", True))
    routing = _routing(body.get("routingConfig", {}), {})
    more: Json = {"autoCreateSubnetworks": auto, "routingConfig": routing}
    order = body.get("networkFirewallPolicyEnforcementOrder", "AFTER_CLASSIC_FIREWALL")
    more["networkFirewallPolicyEnforcementOrder"] = order
    network = crud.new(context, "network", "networks", body, **more)
    if auto:
        for region, cidr in catalog.SUBNETS.items():
            where = context.within(f"regions/{region}")
            own = {"name": network.name, "ipCidrRange": cidr}
            context.store.put(_subnetwork(where, own, network))
    return crud.begin_insert(context, network)


def shown(context: Context, network: Record) -> Json:
    """A network with the links of its subnetworks."""
    found = sorted(subnetwork.link for subnetwork in _subnetworks(context, network))
    body = {key: value for key, value in network.body.items() if key != "subnetworks"}
    return {**body, "subnetworks": found} if found else body


def patch(context: Context, network: Record, body: Json) -> Record:
    """Change the routing mode; raises 400 for a field that a network keeps."""
    limits.refuse_changes(shown(context, network), body, _NETWORK_CHANGED)
    changes = {key: body[key] for key in _NETWORK_CHANGED if key in body}
    if "routingConfig" in changes:
        now = network.body["routingConfig"]
        changes["routingConfig"] = _routing(changes["routingConfig"], now)
    return crud.begin_patch(context, network, changes)


def _routing(given: Json, now: Json) -> Json:
    """The routing of a network; what a client does not give stays as it is."""
    defaults: Json = {"routingMode": "REGIONAL", "bgpBestPathSelectionMode": "LEGACY"}
    routing = {**defaults, **now, **given}
    if routing.pop("deleteBgpAlwaysCompareMed", False):
        routing.pop("bgpAlwaysCompareMed", None)
    return routing


def switch_to_custom_mode(context: Context, network: Record) -> Record:
    """Keep the subnetworks of an auto mode network, and create no others for it."""
    return crud.begin_patch(context, network, {"autoCreateSubnetworks": False})


def delete(context: Context, network: Record) -> Record:
    """Delete a network that nothing uses, with the subnetworks that were created for it."""
    auto = network.body.get("autoCreateSubnetworks", False)
    subnetworks = _subnetworks(context, network)
    for kind in ("instances", "firewalls", "routes"):
        for record in context.store.all(kind, context.project):
            if network.link in _networks_of(record):
                raise errors.in_use(network.path, record.path)
    if subnetworks and not auto:
        raise errors.in_use(network.path, subnetworks[0].path)
    for subnetwork in subnetworks:
        context.store.delete(subnetwork)
    return crud.begin_delete(context, network)


def insert_subnetwork(context: Context, body: Json) -> Record:
    """Create a subnetwork of a network in custom mode."""
    if "network" not in body:
        raise errors.required("resource.network")
    network = context.at(context.link(body["network"], "resource.network"))
    if network.kind != "networks":
        raise errors.invalid("resource.network", body["network"], "The URL is malformed.")
    if network.body.get("autoCreateSubnetworks"):
        text = "The network is in auto mode: its subnetworks are created for it."
        raise errors.invalid("resource.network", body["network"], text)
    if "ipCidrRange" not in body:
        raise errors.required("resource.ipCidrRange")
    if body.get("stackType", "IPV4_ONLY") != "IPV4_ONLY":
        raise errors.invalid("resource.stackType", body["stackType"], "localgce has IPv4 only.")
    wanted = _range(body["ipCidrRange"], "resource.ipCidrRange")
    for other in _subnetworks(context, network):
        if wanted.overlaps(ipaddress.IPv4Network(other.body["ipCidrRange"])):
            text = (
                f"Invalid IPCidrRange: {wanted} conflicts with existing subnetwork '{other.path}'"
            )
            raise ApiError(400, "invalid", text)
    return crud.begin_insert(context, _subnetwork(context, body, network))


def patch_subnetwork(context: Context, subnetwork: Record, body: Json) -> Record:
    """Change what does not move addresses; raises 412 for an old fingerprint."""
    current = subnetwork.body["fingerprint"]
    if body.get("fingerprint", current) != current:
        text = "Supplied fingerprint does not match current fingerprint."
        raise errors.condition_not_met(text)
    for field, value in body.items():
        if field in _SUBNET_FIXED and subnetwork.body.get(field) != value:
            raise errors.invalid(f"resource.{field}", value, "It cannot be changed.")
    changes = {key: value for key, value in body.items() if key not in _SUBNET_FIXED}
    return _begin(context, subnetwork, changes)


def expand(context: Context, subnetwork: Record, cidr: str) -> Record:
    """Enlarge the range of addresses, which holds the present one."""
    now = ipaddress.IPv4Network(subnetwork.body["ipCidrRange"])
    wanted = _range(cidr, "ipCidrRange")
    if not now.subnet_of(wanted) or now == wanted:
        raise errors.invalid("ipCidrRange", cidr, f"It must be larger than {now} and hold it.")
    return _begin(context, subnetwork, {"ipCidrRange": cidr})


def delete_subnetwork(context: Context, subnetwork: Record) -> Record:
    """Delete a subnetwork that no instance uses, of a network in custom mode."""
    network = context.at(context.link(subnetwork.body["network"], "network"))
    if network.body.get("autoCreateSubnetworks"):
        text = f"Cannot delete auto subnetwork '{subnetwork.path}' of a network in auto mode."
        raise ApiError(400, "invalidUsage", text)
    for instance in context.store.all("instances", context.project):
        if any(n["subnetwork"] == subnetwork.link for n in instance.body["networkInterfaces"]):
            raise errors.in_use(subnetwork.path, instance.path)
    for address in context.store.all("addresses", context.project):
        if address.body.get("subnetwork") == subnetwork.link:
            raise errors.in_use(subnetwork.path, address.path)
    return crud.begin_delete(context, subnetwork)


def _begin(context: Context, subnetwork: Record, changes: Json) -> Record:
    mark = fingerprint({**subnetwork.body, **changes})
    return crud.begin_patch(context, subnetwork, {**changes, "fingerprint": mark})


def _subnetwork(context: Context, body: Json, network: Record) -> Record:
    cidr = _range(body["ipCidrRange"], "resource.ipCidrRange")
    more: Json = {
        "network": network.link,
        "gatewayAddress": str(cidr[1]),
        "fingerprint": fingerprint([network.id, str(cidr)]),
        "privateIpGoogleAccess": body.get("privateIpGoogleAccess", False),
        "purpose": body.get("purpose", "PRIVATE"),
        "stackType": "IPV4_ONLY",
    }
    return crud.new(context, "subnetwork", "subnetworks", body, **more)


def _range(text: str, field: str) -> ipaddress.IPv4Network:
    try:
        found = ipaddress.IPv4Network(text)
    except ValueError:
        raise errors.invalid(field, text, "Must be an IPv4 range such as 10.0.0.0/24.") from None
    if not 8 <= found.prefixlen <= 29 or not found.is_private or found.is_loopback:
        raise errors.invalid(field, text, "Must be a private range of /8 to /29.")
    return found


def _subnetworks(context: Context, network: Record) -> list[Record]:
    every = context.store.all("subnetworks", context.project)
    return [record for record in every if record.body["network"] == network.link]


def _networks_of(record: Record) -> set[str]:
    nics = record.body.get("networkInterfaces", [])
    own = record.body.get("network", "")
    return {links.canonical(own, record.project), *(nic["network"] for nic in nics)}
