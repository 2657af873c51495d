"""Networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.api.method import Call, method
from localgce.http.listing import list_of
from localgce.networks import commands

if TYPE_CHECKING:
    from localgce.core.errors import Json


@method("compute.networks.insert")
def insert(call: Call) -> Json:
    """Create a network in auto or custom mode."""
    return commands.insert(call.context, call.body).body


@method("compute.networks.get")
def get(call: Call) -> Json:
    """One network."""
    return commands.shown(call.context, call.record())


@method("compute.networks.list")
def list_(call: Call) -> Json:
    """The networks of the project."""
    found = [commands.shown(call.context, record) for record in call.records()]
    return list_of(call, "network", found)


@method("compute.networks.patch")
def patch(call: Call) -> Json:
    """Change the routing mode."""
    return commands.patch(call.context, call.record(), call.body).body


@method("compute.networks.switchToCustomMode")
def switch_to_custom_mode(call: Call) -> Json:
    """Make an auto mode network one in custom mode."""
    return commands.switch_to_custom_mode(call.context, call.record()).body


@method("compute.networks.delete")
def delete(call: Call) -> Json:
    """Delete a network that nothing uses."""
    return commands.delete(call.context, call.record()).body
