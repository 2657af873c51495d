"""The routing table: the handler of each implemented method, by its id."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from localgce.api import (
    addresses,
    catalogue,
    disk_types,
    disks,
    firewalls,
    iam,
    image_family_views,
    images,
    instance_disks,
    instance_group_managers,
    instance_groups,
    instance_more,
    instance_settings,
    instance_templates,
    instances,
    labels,
    machine_images,
    machine_types,
    managed_instances,
    networks,
    operations,
    projects,
    recorded,
    regions,
    snapshots,
    subnetworks,
    zones,
)
from localgce.api.method import HANDLERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localgce.api.method import Handler

# Importing a module registers its handlers.
MODULES = (
    addresses,
    catalogue,
    disk_types,
    disks,
    firewalls,
    iam,
    image_family_views,
    images,
    instance_disks,
    instance_group_managers,
    instance_groups,
    instance_more,
    instance_settings,
    instance_templates,
    instances,
    labels,
    machine_images,
    machine_types,
    managed_instances,
    networks,
    operations,
    projects,
    recorded,
    regions,
    snapshots,
    subnetworks,
    zones,
)

TABLE: Mapping[str, Handler] = MappingProxyType(HANDLERS)
