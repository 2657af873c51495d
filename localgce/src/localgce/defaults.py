"""What a new project has: itself, the default network with one subnetwork per region, its rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core import catalog, links
from localgce.core.clock import timestamp
from localgce.core.ids import fingerprint
from localgce.core.store import Record
from localgce.metadata.service_accounts import service_account

if TYPE_CHECKING:
    from localgce.core.context import Core
    from localgce.core.errors import Json

_ANYWHERE = "0.0.0.0/0"
_INTERNAL = "10.128.0.0/9"
# name, source, description, and the allowed ports of each protocol
_RULES: tuple[tuple[str, str, str, dict[str, list[str]]], ...] = (
    ("default-allow-icmp", _ANYWHERE, "Allow ICMP from anywhere", {"icmp": []}),
    (
        "default-allow-internal",
        _INTERNAL,
        "Allow internal traffic on the default network",
        {"tcp": ["0-65535"], "udp": ["0-65535"], "icmp": []},
    ),
    ("default-allow-rdp", _ANYWHERE, "Allow RDP from anywhere", {"tcp": ["3389"]}),
    ("default-allow-ssh", _ANYWHERE, "Allow SSH from anywhere", {"tcp": ["22"]}),
)


def create_defaults(core: Core) -> None:
    """Create what the server's project lacks."""
    project, now = core.settings.project, timestamp(core.clock.now())
    if core.store.get("projects", project, "global", project) is None:
        core.store.put(_project(project, now))
    if core.store.get("networks", project, "global", "default") is None:
        core.store.put(_network(project, now))
        for region, cidr in catalog.SUBNETS.items():
            core.store.put(_subnetwork(project, region, cidr, now))
        for name, source, text, allowed in _RULES:
            core.store.put(_rule(project, name, source, text, allowed, now))


def _project(project: str, now: str) -> Record:
    body: Json = {
        "kind": "compute#project",
        "id": catalog.fixed_id(f"projects/{project}"),
        "name": project,
        "creationTimestamp": now,
        "selfLink": links.url(f"projects/{project}"),
        "commonInstanceMetadata": {
            "kind": "compute#metadata",
            "fingerprint": fingerprint([]),
            "items": [],
        },
        "defaultNetworkTier": "PREMIUM",
        "defaultServiceAccount": service_account(project),
        "quotas": [],
    }
    return Record("projects", project, "global", project, body)


def _network(project: str, now: str) -> Record:
    path = f"projects/{project}/global/networks/default"
    body: Json = {
        "kind": "compute#network",
        "id": catalog.fixed_id(path),
        "name": "default",
        "description": "Default network for the project",
        "creationTimestamp": now,
        "selfLink": links.url(path),
        "autoCreateSubnetworks": True,
        "subnetworks": [
            links.url(f"projects/{project}/regions/{region}/subnetworks/default")
            for region in catalog.SUBNETS
        ],
        "routingConfig": {"routingMode": "REGIONAL"},
    }
    return Record("networks", project, "global", "default", body)


def _subnetwork(project: str, region: str, cidr: str, now: str) -> Record:
    path = f"projects/{project}/regions/{region}/subnetworks/default"
    body: Json = {
        "kind": "compute#subnetwork",
        "id": catalog.fixed_id(path),
        "name": "default",
        "creationTimestamp": now,
        "selfLink": links.url(path),
        "network": links.url(f"projects/{project}/global/networks/default"),
        "region": links.url(f"projects/{project}/regions/{region}"),
        "ipCidrRange": cidr,
        "gatewayAddress": cidr.rsplit(".", 1)[0] + ".1",
        "fingerprint": fingerprint(cidr),
        "privateIpGoogleAccess": False,
        "purpose": "PRIVATE",
        "stackType": "IPV4_ONLY",
    }
    return Record("subnetworks", project, f"regions/{region}", "default", body)


def _rule(
    project: str, name: str, source: str, text: str, allowed: dict[str, list[str]], now: str
) -> Record:
    path = f"projects/{project}/global/firewalls/{name}"
    body: Json = {
        "kind": "compute#firewall",
        "id": catalog.fixed_id(path),
        "name": name,
        "description": text,
        "creationTimestamp": now,
        "selfLink": links.url(path),
        "network": links.url(f"projects/{project}/global/networks/default"),
        "direction": "INGRESS",
        "priority": 65534,
        "disabled": False,
        "sourceRanges": [source],
        "allowed": [
            {"IPProtocol": protocol, **({"ports": ports} if ports else {})}
            for protocol, ports in allowed.items()
        ],
        "logConfig": {"enable": False},
    }
    return Record("firewalls", project, "global", name, body)
