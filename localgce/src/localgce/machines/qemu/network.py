"""The machines' networks: a LAN among themselves, and ports on the host's loopback."""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import struct
from typing import TYPE_CHECKING

from localgce.machines.qemu.command import Lan

if TYPE_CHECKING:
    from pathlib import Path

    from localgce.machines.contract import MachineSpec

log = logging.getLogger("localgce")
_GROUP = "230.0.0.1"


def lan(state: Path, network: str = "default") -> Lan | None:
    """The network of this name among this state folder's machines, apart from all others.

    None where the host's loopback has no multicast: machines then reach only the outside.
    """
    own = b"" if network == "default" else b"\0" + network.encode()
    digest = hashlib.sha256(os.fsencode(state.absolute()) + own).digest()
    port = 20000 + int.from_bytes(digest[:4], "big") % 12000
    joined = struct.pack("4s4s", socket.inet_aton(_GROUP), socket.inet_aton("127.0.0.1"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, joined)
        except OSError as error:
            log.warning("machines cannot reach each other: no multicast on loopback (%s)", error)
            return None
    return Lan(_GROUP, port)


def free_ports(spec: MachineSpec) -> tuple[int, ...]:
    """The ports of the spec that can be bound on the external address; QEMU fails with others."""
    return tuple(port for port in spec.ports if _free(spec.nic.external_ip, port))


def _free(address: str | None, port: int) -> bool:
    if address is None:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            # ports below 1024 need a privilege that a normal user does not have
            log.info("port %d of %s is not reachable: %s", port, address, error)
            return False
    return True
