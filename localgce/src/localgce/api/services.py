"""What handlers need beside the context of their request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from localgce.instances.addresses import Allocator
    from localgce.instances.lifecycle import Lifecycle
    from localgce.metadata.guest_attributes import GuestAttributes


@dataclass(frozen=True)
class Services:
    """The services of one server."""

    addresses: Allocator
    lifecycle: Lifecycle
    guest_attributes: GuestAttributes
