"""A metadata server for each machine that asks by a socket of its own, all in this process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.server import ServerState

from localgce.metadata.app import MetadataApp

if TYPE_CHECKING:
    from localgce.service import Service


class MetadataServer:
    """The sockets `machines/<id>/metadata.sock`: who connects there is that machine.

    Only uvicorn's protocol is used, not a server object for each: a socket costs a listening
    descriptor and nothing else.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._servers: dict[str, asyncio.Server] = {}

    async def open(self, machine_id: str) -> None:
        """Serve the machine's socket; nothing happens when it is served."""
        if machine_id in self._servers:
            return
        folder = self._service.settings.state / "machines" / machine_id
        folder.mkdir(parents=True, exist_ok=True)
        listener = _listen(folder / "metadata.sock")
        config = uvicorn.Config(
            MetadataApp(self._service, machine_id),
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
        )
        config.load()
        state = ServerState()

        def protocol() -> asyncio.Protocol:
            make: Any = config.http_protocol_class
            made: asyncio.Protocol = make(config=config, server_state=state, app_state={})
            return made

        loop = asyncio.get_running_loop()
        self._servers[machine_id] = await loop.create_unix_server(protocol, sock=listener)

    def close(self, machine_id: str) -> None:
        """Stop serving it."""
        server = self._servers.pop(machine_id, None)
        if server is not None:
            server.close()
        path = self._service.settings.state / "machines" / machine_id / "metadata.sock"
        with contextlib.suppress(OSError):
            path.unlink()

    def close_all(self) -> None:
        """Stop serving all."""
        for machine_id in list(self._servers):
            self.close(machine_id)


def _listen(path: Path) -> socket.socket:
    """Bound through the folder's descriptor: a socket's own path may have only 107 bytes."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(f"/proc/self/fd/{folder}/{path.name}")
        listener.listen(64)
    finally:
        os.close(folder)
    return listener
