"""The server's parts, put together. Handlers and works get it; it holds no rules of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from localgce.clock import Clock, RealClock, stamp
from localgce.control.faults import Faults
from localgce.errors import Json, not_found
from localgce.groups.manager import Groups
from localgce.http.discovery import Discovery
from localgce.images.debian_cloud import PUBLIC_PROJECTS, PublicImages
from localgce.instances.addresses import Allocator
from localgce.instances.deadlines import Deadlines
from localgce.instances.lifecycle import Lifecycle
from localgce.machines.contract import Host
from localgce.metadata.guest_attributes import GuestAttributes
from localgce.metadata.servers import MetadataServer
from localgce.metadata.service_accounts import service_account
from localgce.operations import Operations
from localgce.resources import catalog, links
from localgce.resources.ids import fingerprint
from localgce.resources.quotas import Quotas
from localgce.state.changes import Changes
from localgce.state.store import Record, Store


@dataclass(frozen=True)
class Settings:
    """How this server was started."""

    state: Path
    project: str
    cache: Path
    shutdown_grace: float = 90.0  # seconds between the power button and the plug


class Service:
    """One Compute Engine."""

    def __init__(self, settings: Settings, host: Host, clock: Clock | None = None) -> None:
        self.settings = settings
        self.host = host
        self.clock: Clock = clock or RealClock()
        self.discovery = Discovery.load()
        self.store = Store(settings.state)
        self.changes = Changes()
        self.faults = Faults()
        self.operations = Operations(self)
        self.addresses = Allocator(self)
        self.quotas = Quotas(self)
        self.deadlines = Deadlines(self)
        self.lifecycle = Lifecycle(self)
        self.groups = Groups(self)
        self.metadata_server = MetadataServer(self)
        self.guest_attributes = GuestAttributes(self)
        self.public_images = PublicImages(self)

    async def open(self) -> None:
        """Get ready, and take up what an earlier server left."""
        await self.host.open()
        with self.store.transaction():
            self._furnish()
        await self.public_images.open()
        self.addresses.open()
        await self.lifecycle.recover()
        self.operations.resume()
        self.groups.open()

    async def close(self, grace: float = 5.0) -> None:
        """Power the machines off, keep everything else."""
        await self.groups.close()
        self.deadlines.close()
        await self.operations.close()
        await self.lifecycle.close(grace)
        self.metadata_server.close_all()
        await self.public_images.close()
        await self.host.close()
        self.store.close()

    def project_record(self, project: str) -> Record:
        """The project; raises 404."""
        found = self.store.get("projects", project, "global", project)
        if found is None:
            raise not_found(f"projects/{project}")
        return found

    def check_project(self, project: str) -> None:
        """Raises 404 for a project that is neither ours nor one of the public ones."""
        if project not in PUBLIC_PROJECTS:
            self.project_record(project)

    def _furnish(self) -> None:
        project = self.settings.project
        if self.store.get("projects", project, "global", project) is None:
            self.store.put(self._project(project))
        network = self.store.get("networks", project, "global", "default")
        if network is None:
            self.store.put(self._default_network(project))
            for region, cidr in catalog.SUBNETS.items():
                self.store.put(self._subnetwork(project, region, cidr))

    def _project(self, project: str) -> Record:
        body: Json = {
            "kind": "compute#project",
            "id": catalog.fixed_id(f"projects/{project}"),
            "name": project,
            "creationTimestamp": stamp(self.clock.now()),
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

    def _default_network(self, project: str) -> Record:
        path = f"projects/{project}/global/networks/default"
        body: Json = {
            "kind": "compute#network",
            "id": catalog.fixed_id(path),
            "name": "default",
            "description": "Default network for the project",
            "creationTimestamp": stamp(self.clock.now()),
            "selfLink": links.url(path),
            "autoCreateSubnetworks": True,
            "subnetworks": [
                links.url(f"projects/{project}/regions/{region}/subnetworks/default")
                for region in catalog.SUBNETS
            ],
            "routingConfig": {"routingMode": "REGIONAL"},
        }
        return Record("networks", project, "global", "default", body)

    def _subnetwork(self, project: str, region: str, cidr: str) -> Record:
        path = f"projects/{project}/regions/{region}/subnetworks/default"
        body: Json = {
            "kind": "compute#subnetwork",
            "id": catalog.fixed_id(path),
            "name": "default",
            "creationTimestamp": stamp(self.clock.now()),
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
