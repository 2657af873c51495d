"""The wiring of one server: what is created, in which order, and what knows what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.admin import console, imports, pages, resource_manager
from localgce.api.routing import TABLE
from localgce.api.services import Services
from localgce.core.clock import Clock, RealClock
from localgce.core.context import Core
from localgce.core.crud import CrudHandlers
from localgce.core.projects import ProjectHandlers
from localgce.defaults import create_defaults
from localgce.disks.bulk_commands import DiskBulkHandlers
from localgce.disks.contents import DiskContents
from localgce.disks.operation_handlers import DiskHandlers
from localgce.disks.replication import ReplicationHandlers
from localgce.disks.snapshot_schedules import SnapshotSchedules
from localgce.groups.manager import Groups
from localgce.groups.member_actions import MemberActions
from localgce.groups.operation_handlers import GroupHandlers
from localgce.groups.stateful import StatefulPolicy
from localgce.http.app import App
from localgce.http.discovery import Discovery
from localgce.http.dispatcher import Dispatcher
from localgce.images.debian_cloud import PublicImages
from localgce.images.layers import LayerBuilder
from localgce.images.operation_handlers import ImageHandlers
from localgce.instances.addresses import Allocator
from localgce.instances.deadlines import Deadlines
from localgce.instances.disk_operation_handlers import InstanceDiskHandlers
from localgce.instances.interruptions import Interruptions
from localgce.instances.lifecycle import Lifecycle
from localgce.instances.machine_image_handlers import MachineImageHandlers
from localgce.instances.operation_handlers import InstanceHandlers
from localgce.instances.removal import Removal
from localgce.instances.renaming import RenamingHandlers
from localgce.metadata.guest_attributes import GuestAttributes
from localgce.metadata.guest_environment import ServerGuestEnvironment
from localgce.metadata.servers import MetadataServer

if TYPE_CHECKING:
    from localgce.core.settings import Settings
    from localgce.machines.contract import Host
    from localgce.machines.instant.host import InstantHost


class Service:
    """One Compute Engine. It has no rules of its own, and nothing below it knows it."""

    def __init__(self, settings: Settings, host: Host, clock: Clock | None = None) -> None:
        """Create and connect all parts; raises StateInUse when another server has the folder."""
        self.core = core = Core.open(settings, clock or RealClock())
        self.store = store = core.store
        self.operations = core.operations
        self.host = host
        self.guest_attributes = GuestAttributes(core)
        self.metadata_server = MetadataServer(core, self.guest_attributes)
        self.addresses = Allocator(store, settings.state)
        self.deadlines = Deadlines(core.clock)
        self.schedules = SnapshotSchedules(core)
        self.lifecycle = Lifecycle(core, host, self.addresses, self.deadlines, self.metadata_server)
        self.public_images = PublicImages(store, core.changes, host)
        layers = LayerBuilder(store, host.disks, self.public_images, self.lifecycle.find)
        disks = DiskContents(store, host.disks, self.public_images, layers)
        removal = Removal(core, self.lifecycle, disks, self.addresses, self.guest_attributes)
        self.interruptions = Interruptions(core, self.lifecycle, removal)
        self.deadlines.on_expiry(self.interruptions.expire)
        actions = MemberActions(core, self.addresses, StatefulPolicy(core, disks, self.addresses))
        self.groups = Groups(core, actions)
        self.lifecycle.subscribe(self.groups.instance_changed)
        for handlers in (
            CrudHandlers(store),
            ProjectHandlers(store, core.changes),
            DiskHandlers(store, disks),
            DiskBulkHandlers(store),
            ReplicationHandlers(store, disks),
            ImageHandlers(store, core.changes, layers),
            InstanceHandlers(core, self.lifecycle, disks, removal, self.interruptions),
            InstanceDiskHandlers(core, self.lifecycle),
            RenamingHandlers(store),
            MachineImageHandlers(store, layers),
            GroupHandlers(core, self.groups, actions),
        ):
            handlers.register(core.operations)

    def connect_guests(self, host: InstantHost) -> None:
        """Let the guests of instant machines use this server."""
        host.environment = ServerGuestEnvironment(self.core, self.guest_attributes)

    def dispatcher(self, *, check_responses: bool = False) -> Dispatcher[Services]:
        """The API; `check_responses` validates answers by the discovery document."""
        services = Services(self.addresses, self.lifecycle, self.guest_attributes)
        return Dispatcher(
            self.core, Discovery.load(), TABLE, services, check_responses=check_responses
        )

    def app(self, *, check_responses: bool = False) -> App:
        """The ASGI application: the API, the admin API, and what is asked beside Compute Engine."""
        routes = pages.routes(self.core, self.lifecycle, self.interruptions)
        routes += console.routes(self.core, self.lifecycle)
        routes += imports.routes(self.core)
        routes += resource_manager.routes(self.core)
        app = App(self.dispatcher(check_responses=check_responses), routes)
        self.metadata_server.api = app
        return app

    async def open(self) -> None:
        """Prepare, adopt the machines of an earlier server, resume its operations."""
        await self.host.open()
        with self.store.transaction():
            create_defaults(self.core)
        await self.public_images.open()
        self.addresses.open()
        self.operations.load()
        await self.lifecycle.recover()
        self.operations.resume()
        self.schedules.open()
        self.groups.open()

    async def close(self, grace: float = 5.0) -> None:
        """Stop all machines within `grace` seconds; everything else is kept.

        Each metadata server answers until its machine is off: shutdown scripts read it.
        """
        await self.groups.close()
        self.deadlines.close()
        await self.schedules.close()
        await self.operations.close()
        await self.lifecycle.close(grace)
        self.metadata_server.close_all()
        await self.public_images.close()
        await self.host.close()
        self.store.close()
