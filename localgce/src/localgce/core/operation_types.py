"""What the `operationType` of an operation is, from the id of the method that began it."""

from __future__ import annotations

# Compute Engine writes the whole id of these methods, and of others the verb alone.
_RESOURCES = {"instanceGroupManagers", "instanceTemplates"}
_METHODS = {
    f"{resource}.{verb}"
    for resource in ("firewalls", "networks", "subnetworks")
    for verb in ("patch", "update")
}


def operation_type(method: str) -> str:
    """`insert` of `compute.instances.insert`, but `compute.instanceTemplates.insert` in full."""
    name = method.removeprefix("compute.")
    resource, _, verb = name.partition(".")
    return f"compute.{name}" if resource in _RESOURCES or name in _METHODS else verb or name
