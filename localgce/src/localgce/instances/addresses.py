"""Which addresses are given out: internal ones of the subnetworks, external ones of loopback.

An external address is an address of its own in 127.0.0.0/8, from a part that the state folder
decides, so that two servers on one machine do not get in each other's way.
"""

from __future__ import annotations

import hashlib
import ipaddress
from typing import TYPE_CHECKING

from localgce.errors import ApiError, Json, invalid
from localgce.state.store import Record

if TYPE_CHECKING:
    from localgce.service import Service


class Allocator:
    """Addresses that instances hold, kept in step by those who take and release; reserved ones
    are asked of the store."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._held: set[str] = set()
        self._cursor: dict[str, int] = {}
        self._last: dict[str, str] = {}  # external addresses given back, by instance id

    def open(self) -> None:
        """Learn what instances hold."""
        for instance in self._service.store.all("instances"):
            self._held.update(held_by(instance))

    def take_internal(self, subnetwork: Record, wanted: str | None = None) -> str:
        """An address of the subnetwork for an instance: the wanted one, or the next free one."""
        if not wanted:
            return self._take(self._next_internal(subnetwork))
        wanted = self._named(subnetwork, wanted)
        self._check_inside(subnetwork, wanted, "resource.networkInterfaces[0].networkIP")
        self._refuse(wanted in self._held, wanted)
        return self._take(wanted)

    def reserve_internal(self, subnetwork: Record, wanted: str | None) -> str:
        """An address of the subnetwork to be reserved."""
        if not wanted:
            return self._next_internal(subnetwork)
        self._check_inside(subnetwork, wanted, "resource.address")
        self._refuse(wanted in self._reserved(), wanted)
        return wanted

    def take_external(self, project: str = "", wanted: str | None = None) -> str:
        """A loopback address: the reserved one that is wanted, or a free one."""
        if wanted:
            if not any(a.body["address"] == wanted for a in self._external(project)):
                field = "resource.networkInterfaces[0].accessConfigs[0].natIP"
                text = "The specified external IP address was not found."
                raise invalid(field, wanted, text)
            self._refuse(wanted in self._held, wanted)
            return self._take(wanted)
        return self._take(self._next_external())

    def reserve_external(self, wanted: str | None) -> str:
        """A free loopback address to be reserved, or one that an instance holds."""
        if not wanted:
            return self._next_external()
        if wanted not in self._held or not wanted.startswith("127."):
            text = "Only an address that an instance holds can be reserved by its value."
            raise invalid("resource.address", wanted, text)
        self._refuse(wanted in self._reserved(), wanted)
        return wanted

    def _next_external(self) -> str:
        digest = hashlib.sha256(str(self._service.settings.state.resolve()).encode()).digest()
        first = int(ipaddress.IPv4Address(f"127.{1 + digest[0] % 254}.{digest[1] & 0xF0}.1"))
        return self._next("external", first, 4000)

    def give_back_ephemeral(self, instance: Record) -> list[Json]:
        """The interfaces of an instance that is off: external addresses that are not reserved
        are free for others."""
        reserved = self._reserved()
        for address in held_by(instance) - reserved:
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

    def take_ephemeral(self, instance: Record) -> list[Json]:
        """The interfaces of an instance that goes on: each has an external address again, the
        one it had before if nobody has taken it."""
        last = self._last.pop(instance.id, None)
        if last in self._held or last in self._reserved():
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
        """The instance is gone."""
        self._last.pop(instance.id, None)
        self.release(held_by(instance))

    def release(self, addresses: set[str]) -> None:
        """Instances no longer hold these."""
        self._held -= addresses

    def _take(self, address: str) -> str:
        self._held.add(address)
        return address

    def _external(self, project: str) -> list[Record]:
        return self._service.store.all("addresses", project)

    def _reserved(self) -> set[str]:
        return {str(a.body["address"]) for a in self._service.store.all("addresses")}

    def _named(self, subnetwork: Record, wanted: str) -> str:
        """An address, or what the reserved one at that link is."""
        if "/" not in wanted:
            return wanted
        name = wanted.rsplit("/", 1)[-1]
        store = self._service.store
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
        taken = self._held | reserved if reserved else self._held
        for step in range(count):
            offset = (start + step) % count
            address = str(ipaddress.IPv4Address(first + offset))
            if address not in taken:
                self._cursor[pool] = offset + 1
                return address
        raise ApiError(403, "quotaExceeded", f"IP space of '{pool}' is exhausted.")


def _with_configs(nic: Json, configs: list[Json]) -> Json:
    return {**nic, "accessConfigs": configs} if configs else nic


def held_by(instance: Record) -> set[str]:
    """The addresses of an instance."""
    held: set[str] = set()
    for nic in instance.body.get("networkInterfaces", []):
        held.add(nic["networkIP"])
        held.update(c["natIP"] for c in nic.get("accessConfigs", []) if c.get("natIP"))
    return held
