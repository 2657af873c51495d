"""Allocation of addresses: internal ones of the subnetworks, external ones of the loopback.

Each external address is an address of 127.0.0.0/8, from a range that is derived from the state
folder, so that two servers on one host do not use the same addresses.
"""

from __future__ import annotations

import hashlib
import ipaddress
from typing import TYPE_CHECKING

from localgce.core.addresses import addresses_of
from localgce.core.errors import ApiError, Json, invalid

if TYPE_CHECKING:
    from pathlib import Path

    from localgce.core.store import Record, Store


class Allocator:
    """The addresses that instances have; reserved ones are read from the store."""

    def __init__(self, store: Store, state: Path) -> None:
        """Allocate nothing yet; `open` reads what instances have."""
        self._store = store
        self._state = state
        self._used: set[str] = set()
        self._cursor: dict[str, int] = {}
        self._last: dict[str, str] = {}  # released external addresses, by instance id

    def open(self) -> None:
        """Read the addresses of all instances."""
        for instance in self._store.all("instances"):
            self._used.update(addresses_of(instance))

    def allocate_internal(self, subnetwork: Record, wanted: str | None = None) -> str:
        """Allocate an address of the subnetwork: the wanted one, or the next free one."""
        if not wanted:
            return self._take(self._next_internal(subnetwork))
        wanted = self._named(subnetwork, wanted)
        self._check_inside(subnetwork, wanted, "resource.networkInterfaces[0].networkIP")
        self._refuse(wanted in self._used, wanted)
        return self._take(wanted)

    def reserve_internal(self, subnetwork: Record, wanted: str | None) -> str:
        """An address of the subnetwork that can be reserved."""
        if not wanted:
            return self._next_internal(subnetwork)
        self._check_inside(subnetwork, wanted, "resource.address")
        self._refuse(wanted in self._reserved(), wanted)
        return wanted

    def allocate_external(self, project: str = "", wanted: str | None = None) -> str:
        """Allocate a loopback address: the wanted reserved one, or the next free one."""
        if wanted:
            if not any(a.body["address"] == wanted for a in self._external(project)):
                field = "resource.networkInterfaces[0].accessConfigs[0].natIP"
                text = "The specified external IP address was not found."
                raise invalid(field, wanted, text)
            self._refuse(wanted in self._used, wanted)
            return self._take(wanted)
        return self._take(self._next_external())

    def reserve_external(self, wanted: str | None) -> str:
        """A loopback address that can be reserved: a free one, or one that an instance has."""
        if not wanted:
            return self._next_external()
        if wanted not in self._used or not wanted.startswith("127."):
            text = "Only an address that an instance holds can be reserved by its value."
            raise invalid("resource.address", wanted, text)
        self._refuse(wanted in self._reserved(), wanted)
        return wanted

    def _next_external(self) -> str:
        digest = hashlib.sha256(str(self._state.resolve()).encode()).digest()
        first = int(ipaddress.IPv4Address(f"127.{1 + digest[0] % 254}.{digest[1] & 0xF0}.1"))
        return self._next("external", first, 4000)

    def release_ephemeral(self, instance: Record) -> list[Json]:
        """The interfaces of a stopped instance, without its ephemeral external addresses."""
        reserved = self._reserved()
        for address in addresses_of(instance) - reserved:
            if address.startswith("127."):
                self._last[instance.id] = address
                self.release({address})
        return [
            _with_configs(
                nic,
                [
                    {k: v for k, v in config.items() if k != "natIP" or v in reserved}
                    for config in nic.get("accessConfigs", [])
                ],
            )
            for nic in instance.body["networkInterfaces"]
        ]

    def allocate_ephemeral(self, instance: Record) -> list[Json]:
        """The interfaces of a starting instance, each with an external address.

        An instance gets the address it had before, unless another instance has it now.
        """
        last = self._last.pop(instance.id, None)
        if last in self._used or last in self._reserved():
            last = None
        return [
            _with_configs(
                nic,
                [
                    config
                    if config.get("natIP")
                    else {**config, "natIP": self._take(last or self._next_external())}
                    for config in nic.get("accessConfigs", [])
                ],
            )
            for nic in instance.body["networkInterfaces"]
        ]

    def forget(self, instance: Record) -> None:
        """Release the addresses of a deleted instance."""
        self._last.pop(instance.id, None)
        self.release(addresses_of(instance))

    def release(self, addresses: set[str]) -> None:
        """Make addresses free for others."""
        self._used -= addresses

    def _take(self, address: str) -> str:
        self._used.add(address)
        return address

    def _external(self, project: str) -> list[Record]:
        """Those that an instance can have: of a region."""
        found = self._store.all("addresses", project)
        return [one for one in found if one.scope != "global"]

    def _reserved(self) -> set[str]:
        return {str(a.body["address"]) for a in self._store.all("addresses")}

    def _named(self, subnetwork: Record, wanted: str) -> str:
        """The address itself, or that of the reserved address at the link."""
        if "/" not in wanted:
            return wanted
        name = wanted.rsplit("/", 1)[-1]
        store = self._store
        found = store.get("addresses", subnetwork.project, subnetwork.scope, name)
        return str(found.body["address"]) if found else wanted

    def _check_inside(self, subnetwork: Record, wanted: str, field: str) -> None:
        network = ipaddress.IPv4Network(subnetwork.body["ipCidrRange"])
        try:
            inside = ipaddress.IPv4Address(wanted) in network
        except ValueError:
            inside = False
        if not inside:
            raise invalid(field, wanted, "Requested internal IP is outside the subnetwork's range.")

    def _refuse(self, taken: bool, address: str) -> None:
        if taken:
            text = f"IP '{address}' is already being used by another resource."
            raise ApiError(400, "badRequest", text)

    def _next_internal(self, subnetwork: Record) -> str:
        network = ipaddress.IPv4Network(subnetwork.body["ipCidrRange"])
        # The first two and last two of a subnetwork are Compute Engine's own.
        return self._next(str(network), int(network[2]), network.num_addresses - 4)

    def _next(self, pool: str, first: int, count: int) -> str:
        start = self._cursor.get(pool, 0)
        reserved = self._reserved()
        taken = self._used | reserved if reserved else self._used
        for step in range(count):
            offset = (start + step) % count
            address = str(ipaddress.IPv4Address(first + offset))
            if address not in taken:
                self._cursor[pool] = offset + 1
                return address
        raise ApiError(403, "quotaExceeded", f"IP space of '{pool}' is exhausted.")


def _with_configs(nic: Json, configs: list[Json]) -> Json:
    return {**nic, "accessConfigs": configs} if configs else nic
