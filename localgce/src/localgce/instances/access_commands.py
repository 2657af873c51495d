"""The commands on the network interface of an instance and its external address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core import errors, limits
from localgce.core.errors import ApiError, condition_not_met
from localgce.core.ids import fingerprint
from localgce.instances import insert_plan
from localgce.instances.creator import creator_of
from localgce.instances.setting_commands import check_stopped

if TYPE_CHECKING:
    from localgce.core.context import Context
    from localgce.core.errors import Json
    from localgce.core.store import Record
    from localgce.instances.addresses import Allocator

_PLACE = ("network", "subnetwork", "networkIP")
_CONFIG_KNOWN = {
    *("kind", "type", "name", "natIP", "networkTier", "setPublicPtr", "publicPtrDomainName"),
}


def access_config(given: Json, address: str | None) -> Json:
    """An AccessConfig as it is shown; a stopped instance has no ephemeral address."""
    shown: Json = {
        "kind": "compute#accessConfig",
        "type": given.get("type", "ONE_TO_ONE_NAT"),
        "name": given.get("name", "External NAT"),
        "networkTier": given.get("networkTier", "PREMIUM"),
    }
    kept: Json = {k: given[k] for k in ("setPublicPtr", "publicPtrDomainName") if k in given}
    return {**shown, **kept, **({"natIP": address} if address else {})}


def add(context: Context, addresses: Allocator, instance: Record, nic: str, given: Json) -> Record:
    """Give the interface an external address: the reserved one that is named, or a free one.

    A running real machine is reachable there from its next start on.
    """
    interface = _interface(instance, nic)
    limits.refuse_others(given, _CONFIG_KNOWN, "resource")
    if interface.get("accessConfigs"):
        text = "At most one access config currently supported."
        raise errors.invalid("resource.networkInterfaces[0].accessConfigs", 1, text)
    off = instance.body["status"] in {"TERMINATED", "STOPPED"} and not given.get("natIP")
    address = None if off else addresses.allocate_external(context.project, given.get("natIP"))
    return _replace(context, instance, interface, [access_config(given, address)])


def delete(context: Context, addresses: Allocator, instance: Record, nic: str, name: str) -> Record:
    """Take the external address away; a reserved one stays reserved."""
    interface = _interface(instance, nic)
    config = _config(instance, interface, name)
    if config.get("natIP"):
        addresses.release({config["natIP"]})
    return _replace(context, instance, interface, [])


def update(context: Context, instance: Record, nic: str, given: Json) -> Record:
    """Change name, tier and PTR record; raises 400 for another address."""
    interface = _interface(instance, nic)
    limits.refuse_others(given, _CONFIG_KNOWN, "resource")
    config = _config(instance, interface, given.get("name", "External NAT"))
    now = config.get("natIP")
    if given.get("natIP", now) != now:
        text = "Delete the access config and add one with the other address."
        raise errors.invalid("resource.natIP", given["natIP"], text)
    return _replace(context, instance, interface, [access_config({**config, **given}, now)])


def update_interface(
    context: Context, addresses: Allocator, instance: Record, nic: str, given: Json
) -> Record:
    """Change alias ranges, or move a stopped instance to another network or address.

    Raises 412 for an old fingerprint, 400 for what cannot change.
    """
    interface = _interface(instance, nic)
    if given.get("fingerprint", interface["fingerprint"]) != interface["fingerprint"]:
        raise condition_not_met("Supplied fingerprint does not match current fingerprint.")
    limits.refuse_changes(interface, given, ("aliasIpRanges", "fingerprint", *_PLACE))
    changed = dict(interface)
    if "aliasIpRanges" in given:
        changed["aliasIpRanges"] = given["aliasIpRanges"]
    if any(given.get(field) not in {None, interface[field]} for field in _PLACE):
        changed.update(_moved(context, addresses, instance, interface, given))
    return _begin(context, instance, changed)


def _moved(
    context: Context, addresses: Allocator, instance: Record, interface: Json, given: Json
) -> Json:
    """Network, subnetwork and a newly allocated address; the external one stays."""
    check_stopped(instance, "updateNetworkInterface")
    if creator_of(instance) is not None:
        text = "An instance of a managed instance group stays in its template's network."
        raise ApiError(400, "invalidResourceUsage", f"Invalid resource usage: '{text}'.")
    named = {field: given[field] for field in ("network", "subnetwork") if given.get(field)}
    subnetwork = insert_plan.subnetwork_of(context, named or interface, "resource")
    here = subnetwork.link == interface["subnetwork"]
    address = given.get("networkIP") or (interface["networkIP"] if here else None)
    if address != interface["networkIP"]:
        address = addresses.allocate_internal(subnetwork, address)
        addresses.release({interface["networkIP"]})
    return {
        "network": subnetwork.body["network"],
        "subnetwork": subnetwork.link,
        "networkIP": address,
    }


def _interface(instance: Record, name: str) -> Json:
    for interface in instance.body["networkInterfaces"]:
        if interface["name"] == name:
            return dict(interface)
    text = f"No such network interface: '{name}'."
    raise ApiError(400, "invalid", f"Invalid value for field 'networkInterface': '{name}'. {text}")


def _config(instance: Record, interface: Json, name: str) -> Json:
    for config in interface.get("accessConfigs", []):
        if config["name"] == name:
            return dict(config)
    text = f"The specified access config '{name}' of '{instance.path}' was not found"
    raise ApiError(404, "notFound", text)


def _replace(context: Context, instance: Record, interface: Json, configs: list[Json]) -> Record:
    bare = {key: value for key, value in interface.items() if key != "accessConfigs"}
    return _begin(context, instance, {**bare, "accessConfigs": configs} if configs else bare)


def _begin(context: Context, instance: Record, interface: Json) -> Record:
    bare = {key: value for key, value in interface.items() if key != "fingerprint"}
    shown = {**bare, "fingerprint": fingerprint(bare)}
    return context.begin(instance, "instances.change", changes={"networkInterfaces": [shown]})
