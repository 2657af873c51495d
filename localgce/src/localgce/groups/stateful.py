"""What a group's stateful policy preserves of an instance over its replacement: disks and
addresses, which are reserved for it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from localgce.api import addresses
from localgce.disks import works as disk_works
from localgce.errors import Json
from localgce.http.call import Call
from localgce.resources import catalog, links
from localgce.state.store import Record

if TYPE_CHECKING:
    from localgce.service import Service


def preserve(service: Service, group: Record, instance: Record, before: Json) -> Json:
    """What is to be preserved of an instance: its disks no longer go with it, its addresses are
    reserved. Safe to repeat."""
    wanted = (group.body.get("statefulPolicy") or {}).get("preservedState", {})
    found: Json = {}
    disks = _disks(service, instance, wanted.get("disks", {}))
    if disks:
        found["disks"] = disks
    nic = instance.body["networkInterfaces"][0]
    config = (nic.get("accessConfigs") or [{}])[0]
    for kind, value in (("internalIPs", nic["networkIP"]), ("externalIPs", config.get("natIP"))):
        rule = wanted.get(kind, {}).get("nic0")
        if rule and value:
            known = before.get(kind, {}).get("nic0", {}).get("ipAddress")
            if known is None or known["literal"] != value:
                known = _reserved(service, instance, value, kind == "internalIPs", nic)
            found[kind] = {"nic0": {"autoDelete": rule["autoDelete"], "ipAddress": known}}
    return found


def _disks(service: Service, instance: Record, rules: Json) -> Json:
    kept = [disk for disk in instance.body["disks"] if disk["deviceName"] in rules]
    if any(disk["autoDelete"] for disk in kept):
        disks = [
            {**disk, "autoDelete": disk["autoDelete"] and disk["deviceName"] not in rules}
            for disk in instance.body["disks"]
        ]
        service.store.put(instance.changed(disks=disks))
    return {
        disk["deviceName"]: {
            "source": disk["source"],
            "mode": disk["mode"],
            "autoDelete": rules[disk["deviceName"]]["autoDelete"],
        }
        for disk in kept
    }


def _reserved(service: Service, instance: Record, value: str, internal: bool, nic: Json) -> Json:
    """The reserved address of that value, made where there is none."""
    region = catalog.region_of(links.last(instance.scope))
    scope = f"regions/{region}"
    for record in service.store.all("addresses", instance.project, scope):
        if record.body["address"] == value:
            return {"address": record.link, "literal": value}
    kind = "INTERNAL" if internal else "EXTERNAL"
    name = f"{instance.name[:40]}-nic0-{kind.lower()}-{secrets.token_hex(2)}"
    body: Json = {"name": name, "address": value, "addressType": kind}
    if internal:
        body["subnetwork"] = nic["subnetwork"]
    method = service.discovery.methods["compute.addresses.insert"]
    path = {"project": instance.project, "region": region}
    operation = addresses.insert(Call(service, method, path, {}, body))
    return {"address": operation["targetLink"], "literal": value}


async def give_up(service: Service, project: str, preserved: Json) -> None:
    """For good: what is preserved goes too where its rule says so."""
    for disk in preserved.get("disks", {}).values():
        record = disk_works.at(service, disk)
        gone = disk["autoDelete"] == "ON_PERMANENT_INSTANCE_DELETION"
        if gone and record is not None and not record.body.get("users"):
            await disk_works.delete(service, record)
    for kind in ("internalIPs", "externalIPs"):
        for kept in preserved.get(kind, {}).values():
            if kept["autoDelete"] == "ON_PERMANENT_INSTANCE_DELETION":
                link = links.parse(kept["ipAddress"]["address"], project=project, field="address")
                record = service.store.get("addresses", link.project, link.scope, link.name)
                if record is not None:
                    service.store.delete(record)
