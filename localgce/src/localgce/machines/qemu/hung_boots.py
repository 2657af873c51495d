"""Kernels that hang before they have mounted anything: their machines are reset.

QEMU's emulation of several CPUs rarely leaves a kernel spinning in its first two seconds. Nothing
outside would end that: the guest has no agent yet, and Compute Engine knows no such state. Until
the kernel runs /init it has written to no disk, so that a reset is safe.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Protocol

from localgce.core.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

log = logging.getLogger("localgce")
LOOK_SECONDS = 20.0
SILENT_SECONDS = 60.0
"""An emulated kernel writes a line every few milliseconds before /init, on a busy host too."""
RESETS = 3
"""Of one machine; after these it is left as it is."""

_BANNER = b"] Linux version "
_VERBOSE = b"] BIOS-e820: "  # of the level at which `Run /init` is written
_PAST = (b"] Run /", b"] Kernel panic", b"] systemd[1]:")


class Booting(Protocol):
    """A machine, as far as it matters here."""

    async def runs(self) -> bool:
        """Whether its CPUs run: it is neither suspended nor stopped."""

    def serial(self, port: int = 1, start: int = 0) -> tuple[bytes, int, int]:
        """(contents, start of these contents, next start) of its serial output."""

    async def reset(self) -> None:
        """Press the reset button."""


class HungBoots:
    """Remembers how long each machine has been silent; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing has been looked at yet."""
        self._clock = clock
        self._heard: dict[str, tuple[int, float]] = {}  # length of the output, and since when
        self._resets: dict[str, int] = {}

    async def look(self, machines: Mapping[str, Booting]) -> None:
        """Reset those whose kernel is silent before /init; `machines` are all that run, by name."""
        for known in (self._heard, self._resets):
            for name in known.keys() - machines.keys():
                del known[name]
        for name, machine in machines.items():
            with contextlib.suppress(MachineError):  # it has just stopped
                await self._look(name, machine)

    async def _look(self, name: str, machine: Booting) -> None:
        now, length = self._clock(), machine.serial(start=-1)[2]
        before, since = self._heard.get(name, (-1, now))
        if length != before or not await machine.runs():
            self._heard[name] = (length, now)
        elif now - since >= SILENT_SECONDS and before_init(machine.serial()[0]):
            self._heard[name] = (length, now)
            done = self._resets[name] = self._resets.get(name, 0) + 1
            if done <= RESETS:
                silent = f"its kernel has been silent for {now - since:.0f} s before /init"
                log.warning("machine %s is reset: %s (%d of %d)", name, silent, done, RESETS)
                await machine.reset()
            elif done == RESETS + 1:
                log.warning("machine %s hangs before /init again; it is left as it is", name)


def before_init(output: bytes) -> bool:
    """Whether the last kernel of a serial output has not run /init yet, and would have said so."""
    boot = output[output.rfind(_BANNER) :] if _BANNER in output else b""
    return _VERBOSE in boot and not any(line in boot for line in _PAST)


async def watch(found: HungBoots, machines: Callable[[], Mapping[str, Booting]]) -> None:
    """Look again and again, until cancelled."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        await found.look(machines())
