"""What a stateful policy preserves when an instance is replaced: disks and reserved addresses."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from localgce.core import catalog, links
from localgce.disks.attachments import disk_of
from localgce.instances import address_commands

if TYPE_CHECKING:
    from localgce.core.context import Core
    from localgce.core.errors import Json
    from localgce.core.store import Record
    from localgce.disks.contents import DiskContents
    from localgce.instances.addresses import Allocator

_PERMANENT = "ON_PERMANENT_INSTANCE_DELETION"


class StatefulPolicy:
    """Preserves and releases the state of members; every method is idempotent."""

    def __init__(self, core: Core, disks: DiskContents, addresses: Allocator) -> None:
        """Preserve disks and addresses."""
        self._core = core
        self._disks = disks
        self._addresses = addresses

    def preserve(self, group: Record, instance: Record, before: Json, config: Json) -> Json:
        """Preserve an instance's disks and reserve its addresses; returns what is preserved.

        The disks of its `config` are kept too; they are not part of what the policy preserves.
        """
        wanted = (group.body.get("statefulPolicy") or {}).get("preservedState", {})
        found: Json = {}
        rules = wanted.get("disks", {})
        own = config.get("disks", {})
        kept = self._preserve_disks(instance, {**rules, **own})
        disks = {device: disk for device, disk in kept.items() if device not in own}
        if disks:
            found["disks"] = disks
        nic = instance.body["networkInterfaces"][0]
        config = (nic.get("accessConfigs") or [{}])[0]
        for kind, value in (
            ("internalIPs", nic["networkIP"]),
            ("externalIPs", config.get("natIP")),
        ):
            rule = wanted.get(kind, {}).get("nic0")
            if rule and value:
                known = before.get(kind, {}).get("nic0", {}).get("ipAddress")
                if known is None or known["literal"] != value:
                    known = self._reserved(instance, value, kind == "internalIPs", nic)
                found[kind] = {"nic0": {"autoDelete": rule["autoDelete"], "ipAddress": known}}
        return found

    async def release(self, project: str, preserved: Json) -> None:
        """Delete what is preserved of a deleted member, where its rule says so."""
        store = self._core.store
        for disk in preserved.get("disks", {}).values():
            record = disk_of(store, disk)
            gone = disk["autoDelete"] == _PERMANENT
            if gone and record is not None and not record.body.get("users"):
                await self._disks.delete(record)
        for kind in ("internalIPs", "externalIPs"):
            for kept in preserved.get(kind, {}).values():
                if kept["autoDelete"] == _PERMANENT:
                    address = kept["ipAddress"]["address"]
                    record = store.at(links.parse(address, project=project, field="address"))
                    if record is not None:
                        store.delete(record)

    def _preserve_disks(self, instance: Record, rules: Json) -> Json:
        kept = [d for d in instance.body["disks"] if d["deviceName"] in rules and "source" in d]
        if any(disk["autoDelete"] for disk in kept):
            disks = [
                {**disk, "autoDelete": disk["autoDelete"] and disk["deviceName"] not in rules}
                for disk in instance.body["disks"]
            ]
            self._core.store.put(instance.changed(disks=disks))
        return {
            disk["deviceName"]: {
                "source": disk["source"],
                "mode": disk["mode"],
                "autoDelete": rules[disk["deviceName"]]["autoDelete"],
            }
            for disk in kept
        }

    def _reserved(self, instance: Record, value: str, internal: bool, nic: Json) -> Json:
        """The reserved address of that value; it is reserved now where it is not yet."""
        scope = f"regions/{catalog.region_of(links.last(instance.scope))}"
        for record in self._core.store.all("addresses", instance.project, scope):
            if record.body["address"] == value:
                return {"address": record.link, "literal": value}
        kind = "INTERNAL" if internal else "EXTERNAL"
        name = f"{instance.name[:40]}-nic0-{kind.lower()}-{secrets.token_hex(2)}"
        body: Json = {"name": name, "address": value, "addressType": kind}
        if internal:
            body["subnetwork"] = nic["subnetwork"]
        method = "compute.addresses.insert"
        context = self._core.unfaulted(method, instance.project, scope)
        operation = address_commands.insert(context, self._addresses, body)
        return {"address": operation.body["targetLink"], "literal": value}
