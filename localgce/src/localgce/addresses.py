"""Which addresses are given out: internal ones of the subnetworks, external ones of loopback.

An external address is an address of its own in 127.0.0.0/8, from a part that the state folder
decides, so that two servers on one machine do not get in each other's way.
"""

from __future__ import annotations

import hashlib
import ipaddress
from typing import TYPE_CHECKING

from localgce.errors import ApiError, invalid
from localgce.store import Record

if TYPE_CHECKING:
    from localgce.service import Service


class Allocator:
    """Addresses in use, kept in step by those who take and release."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._used: set[str] = set()
        self._cursor: dict[str, int] = {}

    def open(self) -> None:
        """Learn what instances and reservations hold."""
        store = self._service.store
        for instance in store.all("instances"):
            self._used.update(held_by(instance))
        self._used.update(str(address.body["address"]) for address in store.all("addresses"))

    def take_internal(self, subnetwork: Record, wanted: str | None = None) -> str:
        """An address of the subnetwork; the wanted one, or the next free one."""
        network = ipaddress.IPv4Network(subnetwork.body["ipCidrRange"])
        if wanted:
            self._check_wanted(network, wanted)
            self._used.add(wanted)
            return wanted
        # The first two and last two of a subnetwork are Compute Engine's own.
        return self._next(str(network), int(network[2]), network.num_addresses - 4)

    def take_external(self) -> str:
        """A free loopback address."""
        digest = hashlib.sha256(str(self._service.settings.state.resolve()).encode()).digest()
        first = int(ipaddress.IPv4Address(f"127.{1 + digest[0] % 254}.{digest[1] & 0xF0}.1"))
        return self._next("external", first, 4000)

    def use_reserved(self, project: str, wanted: str) -> None:
        """Check that an external address is reserved in the project and free; raises 400."""
        field = "resource.networkInterfaces[0].accessConfigs[0].natIP"
        for address in self._service.store.all("addresses", project):
            if address.body["address"] == wanted:
                if address.body["status"] == "IN_USE":
                    text = f"External IP address '{wanted}' is already in use."
                    raise ApiError(400, "badRequest", text)
                return
        raise invalid(field, wanted, "The specified external IP address was not found.")

    def release(self, addresses: set[str]) -> None:
        """Give back what is not reserved."""
        reserved = {str(a.body["address"]) for a in self._service.store.all("addresses")}
        self._used -= addresses - reserved

    def _check_wanted(self, network: ipaddress.IPv4Network, wanted: str) -> None:
        field = "resource.networkInterfaces[0].networkIP"
        try:
            inside = ipaddress.IPv4Address(wanted) in network
        except ValueError:
            inside = False
        if not inside:
            raise invalid(field, wanted, "Requested internal IP is outside the subnetwork's range.")
        if wanted in self._used:
            text = f"IP '{wanted}' is already being used by another resource."
            raise ApiError(400, "badRequest", text)

    def _next(self, pool: str, first: int, count: int) -> str:
        start = self._cursor.get(pool, 0)
        for step in range(count):
            offset = (start + step) % count
            address = str(ipaddress.IPv4Address(first + offset))
            if address not in self._used:
                self._used.add(address)
                self._cursor[pool] = offset + 1
                return address
        text = f"IP space of '{pool}' is exhausted."
        raise ApiError(403, "quotaExceeded", text)


def held_by(instance: Record) -> set[str]:
    """The addresses of an instance."""
    held: set[str] = set()
    for nic in instance.body.get("networkInterfaces", []):
        held.add(nic["networkIP"])
        held.update(c["natIP"] for c in nic.get("accessConfigs", []) if c.get("natIP"))
    return held
