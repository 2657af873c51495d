"""`localgce serve`: one process, one event loop, one listening socket."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

import uvicorn

from localgce.core.server_file import ServerFile
from localgce.machines.instant.host import InstantHost, default_guest, load_guest
from localgce.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from localgce.core.clock import Clock
    from localgce.core.settings import Settings
    from localgce.machines.contract import Host

log = logging.getLogger("localgce")
# Longer than any boot: a client that asks again on a connection which the server is closing fails.
KEEP_ALIVE_SECONDS = 3600
SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True)
class Options:
    """The options of the command line."""

    settings: Settings
    port: int
    machines: str  # qemu or instant
    guest: Path | None = None
    clock: Clock | None = None  # None: real time
    check_responses: bool = False


async def serve(options: Options) -> None:
    """Serve until SIGTERM or SIGINT; prints `ready http://127.0.0.1:PORT` once it answers.

    Then the machines power off, with their metadata servers, for up to `exit_grace` seconds; a
    second signal kills those that still run.

    Raises StateInUse, MachineError or OSError, in one line, when it cannot start.
    """
    listener = _listen(options.port)
    service = Service(options.settings, _host(options), options.clock)
    if isinstance(service.host, InstantHost):
        service.connect_guests(service.host)
    try:
        await service.open()
        gc.collect()
        gc.freeze()  # the discovery document is large and lives as long as the process
        await _run(service, listener, options)
    finally:
        for number in SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, service.lifecycle.hurry)
        await service.close(options.settings.exit_grace)


def _listen(port: int) -> socket.socket:
    # The protocol must be given: asyncio sets TCP_NODELAY only on such a socket.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise OSError(f"cannot listen on 127.0.0.1:{port}: {error.strerror}") from None
    listener.listen(512)
    return listener


def _host(options: Options) -> Host:
    state = options.settings.state
    if options.machines == "instant":
        boot = load_guest(options.guest) if options.guest else default_guest
        return InstantHost(state, boot)
    from localgce.machines.qemu.host import QemuHost  # not needed for instant machines

    return QemuHost(state, options.settings.cache)


async def _run(service: Service, listener: socket.socket, options: Options) -> None:
    config = uvicorn.Config(
        service.app(check_responses=options.check_responses),
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    server = _Server(config)
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, server.stop)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.ready = lambda: _ready(options, url)
    await server.serve(sockets=[listener])


def _ready(options: Options, url: str) -> None:
    """Say that the server answers, to other programs and to whoever reads its output."""
    settings = options.settings
    ServerFile.of_this_process(url, settings.project, options.machines).write(settings.state)
    print(f"ready {url}", flush=True)


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: ours lets machines power off first."""

    ready: Callable[[], None]

    def stop(self) -> None:
        """Shut down gracefully."""
        self.should_exit = True

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve without uvicorn's handlers, which raise the signal again at the end."""
        await self._serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say that the server is ready."""
        await super().startup(sockets)
        self.ready()
