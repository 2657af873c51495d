"""The metadata server: one unix socket for each machine that asks by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from localgce.service import Service


class MetadataServer:
    """Serves sockets; nothing for machines that need none."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def open(self, machine_id: str) -> None:
        """Serve the machine's socket."""

    async def close(self, machine_id: str) -> None:
        """Stop serving it."""

    async def close_all(self) -> None:
        """Stop serving all."""
