"""A metadata server for each machine that has a socket of its own, all in this process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.server import ServerState

from localgce.metadata.app import MetadataApp

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import ASGIApp

    from localgce.core.context import Core
    from localgce.metadata.guest_attributes import GuestAttributes


class MetadataServer:
    """The sockets `machines/<id>/metadata.sock`; the socket identifies the machine.

    Only uvicorn's protocol class is used, without a server object per machine: a socket costs one
    listening descriptor.
    """

    def __init__(self, core: Core, guest_attributes: GuestAttributes) -> None:
        """Serve no machine yet."""
        self._core = core
        self._guest_attributes = guest_attributes
        self._servers: dict[str, asyncio.Server] = {}
        self.api: ASGIApp | None = None  # set once there is one; guests call it with their tokens

    async def open(self, machine_id: str) -> None:
        """Serve the machine's socket; does nothing when it is served already."""
        if machine_id in self._servers:
            return
        folder = self._core.settings.state / "machines" / machine_id
        folder.mkdir(parents=True, exist_ok=True)
        listener = _listen(folder / "metadata.sock")
        config = uvicorn.Config(
            MetadataApp(self._core, self._guest_attributes, machine_id, lambda: self.api),
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
        path = self._core.settings.state / "machines" / machine_id / "metadata.sock"
        with contextlib.suppress(OSError):
            path.unlink()

    def close_all(self) -> None:
        """Stop serving all."""
        for machine_id in list(self._servers):
            self.close(machine_id)


def _listen(path: Path) -> socket.socket:
    """Bind through the folder's descriptor: the path of a socket has at most 107 bytes."""
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
