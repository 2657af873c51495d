"""The addresses of an instance, as its record lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from localgce.core.store import Record


def addresses_of(instance: Record) -> set[str]:
    """The internal and external addresses that an instance has."""
    found: set[str] = set()
    for nic in instance.body.get("networkInterfaces", []):
        found.add(nic["networkIP"])
        found.update(c["natIP"] for c in nic.get("accessConfigs", []) if c.get("natIP"))
    return found
