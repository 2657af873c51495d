"""The QMP connection to one QEMU: commands, and the few events that matter."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from qemu.qmp import EventListener, ExecuteError, QMPClient, QMPError, Runstate

from localgce.core.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECONDS = 20.0
"""The deadline for QEMU's answers."""

_EVENTS = ("SHUTDOWN", "STOP", "DEVICE_DELETED")


class Session:
    """`event` is called with each event's name and data, also with those that end the session."""

    def __init__(self, event: Callable[[str, dict[str, Any]], None]) -> None:
        """Call `event` with each event."""
        self._client = QMPClient()
        self._listener = EventListener(_EVENTS)
        self._client.register_listener(self._listener)
        self._event = event
        self._reading: asyncio.Task[None] | None = None

    async def open(self, socket: Path) -> None:
        """Connect; raises MachineError when QEMU does not answer."""
        try:
            await asyncio.wait_for(self._client.connect(str(socket)), SECONDS)
        except (QMPError, OSError, TimeoutError) as error:
            raise MachineError(f"QEMU does not answer at {socket}: {error}") from error
        self._reading = asyncio.create_task(self._read())

    async def execute(self, command: str, arguments: dict[str, Any] | None = None) -> Any:
        """Run a QMP command; raises MachineError when QEMU rejects it or does not answer."""
        try:
            return await asyncio.wait_for(self._client.execute(command, arguments), SECONDS)
        except (ExecuteError, QMPError) as error:
            raise MachineError(f"QEMU rejected {command}: {error}") from error
        except TimeoutError as error:
            raise MachineError(f"QEMU has not answered {command} in {SECONDS:.0f} s") from error

    async def close(self) -> None:
        """Report the received events and disconnect; waits for those of an ending QEMU."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                while self._client.runstate == Runstate.RUNNING:
                    await self._client.runstate_changed()
        if self._reading:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        for message in self._listener.clear():
            self._report(message)
        with contextlib.suppress(QMPError, OSError, EOFError):
            await self._client.disconnect()

    async def _read(self) -> None:
        async for message in self._listener:
            self._report(message)

    def _report(self, message: Any) -> None:
        self._event(str(message["event"]), dict(message.get("data") or {}))
