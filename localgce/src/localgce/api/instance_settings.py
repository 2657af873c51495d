"""Instances: settings that can be changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.api.method import Call, method
from localgce.instances import setting_commands as commands

if TYPE_CHECKING:
    from localgce.core.errors import Json


@method("compute.instances.setMetadata")
def set_metadata(call: Call) -> Json:
    """Replace all metadata."""
    return commands.set_metadata(call.context, call.record(), call.body).body


@method("compute.instances.setTags")
def set_tags(call: Call) -> Json:
    """Replace the network tags."""
    return commands.set_tags(call.context, call.record(), call.body).body


@method("compute.instances.setScheduling")
def set_scheduling(call: Call) -> Json:
    """Replace the given fields and clear those that are null."""
    return commands.set_scheduling(call.context, call.record(), call.body, call.cleared).body


@method("compute.instances.setMachineType")
def set_machine_type(call: Call) -> Json:
    """Change the machine type of a stopped instance."""
    given = call.body.get("machineType")
    return commands.set_machine_type(call.context, call.record(), given).body


@method("compute.instances.setServiceAccount")
def set_service_account(call: Call) -> Json:
    """Change the service account of a stopped instance."""
    return commands.set_service_account(call.context, call.record(), call.body).body


@method("compute.instances.setDeletionProtection")
def set_deletion_protection(call: Call) -> Json:
    """Set whether the instance is protected against deletion."""
    protected = call.query.get("deletionProtection", True)
    return commands.set_deletion_protection(call.context, call.record(), protected).body
