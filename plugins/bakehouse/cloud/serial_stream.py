"""Stream the serial output of a VM into the task log, without loss and with few repetitions."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from bakehouse.cloud import boot_lines
from bakehouse.cloud import serial_output as serial
from bakehouse.cloud.machine_observation import TAIL_LINES
from bakehouse.cloud.rate_limiter import Priority
from bakehouse.core.errors import BakehouseError

if TYPE_CHECKING:
    from bakehouse.cloud.rate_limiter import RateLimiter

LINES_A_TICK = 500
PAUSE = 0.5  # seconds between two batches of one answer: no log writes faster than that
TAIL_BYTES = 65_536

Read = Callable[[int], dict[str, Any]]  # blocking: start -> {contents, start, next}
Emit = Callable[[str], None]  # blocking: one line
Save = Callable[[int], Awaitable[None]]


class SerialStream:
    """Reads from `offset`, logs each line once, and saves the offset of the logged lines.

    Not in one breath: Airflow reads lines and offset from two pipes, in no order, and a kill may
    fall between. The offset of a batch is saved when the next one is due, so a kill repeats that
    batch at the most, and loses nothing.
    `heard` is set when a structured line was read since it was last cleared.
    """

    def __init__(
        self,
        read: Read,
        emit: Emit,
        save: Save,
        nonce: str,
        rate_limiter: RateLimiter,
        offset: int = 0,
    ) -> None:
        self._read, self._emit, self._save = read, emit, save
        self._nonce, self._rate_limiter = nonce, rate_limiter
        self.offset = self._saved = offset
        self.said: list[dict[str, Any]] = []
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.heard = asyncio.Event()
        self._missed = offset > 0  # what an earlier triggerer has shown is not known here
        self._busy = asyncio.Lock()

    async def follow(self, interval: float) -> None:
        """Continue until cancelled (`stop`)."""
        while True:
            await self._rate_limiter.acquire()
            async with self._busy:
                await self._pump(last=False)
            await asyncio.sleep(interval)

    async def halt(self, following: asyncio.Task[None]) -> None:
        """Cancel `follow`, but not between showing and saving."""
        async with self._busy:
            following.cancel()

    async def stop(self, following: asyncio.Task[None]) -> None:
        """Cancel `follow`, then log the rest, including an incomplete line."""
        await self.halt(following)
        await self.catch_up(last=True)

    async def catch_up(self, *, last: bool) -> None:
        """Log all current output, as an urgent read; `last`: there will be no more."""
        async with self._busy:
            await self._rate_limiter.acquire(Priority.RESULT)
            await self._pump(last)
        if self._missed:
            await self.recall()

    async def recall(self) -> None:
        """Read the end again, for structured lines before a restart of the triggerer."""
        await self._rate_limiter.acquire(Priority.RESULT)
        answer = await self._ask(-TAIL_BYTES)
        lines = serial.split(answer, 0, 10_000, last=True).lines
        known = {str(line) for line in self.said}
        self.said += [s for s in serial.said(lines, self._nonce) if str(s) not in known]
        shown = list(boot_lines.for_terminal(lines))
        if len(shown) > len(self.tail):
            self.tail = deque(shown, maxlen=TAIL_LINES)
        self._missed = self._missed and not answer

    async def _pump(self, last: bool) -> None:
        """Log one answer in batches."""
        await self._save_shown()
        answer, known = await self._ask(self.offset), len(self.said)
        while answer:
            chunk = serial.split(answer, self.offset, LINES_A_TICK, last)
            # in a thread: the log pipe is a blocking socket; a full one would stop every trigger
            await asyncio.to_thread(self._show, chunk)
            if len(self.said) > known:
                self.heard.set()
            if chunk.next == self.offset:
                return
            self.offset = chunk.next
            if "\n" not in chunk.rest and not (last and chunk.rest):
                return
            answer = {**answer, "start": self.offset, "contents": chunk.rest}
            await asyncio.sleep(PAUSE)
            await self._save_shown()

    async def _save_shown(self) -> None:
        if self._saved != self.offset:
            await self._save(self.offset)
            self._saved = self.offset

    async def _ask(self, start: int) -> dict[str, Any]:
        try:
            return await asyncio.to_thread(self._read, start)
        except BakehouseError:
            return {}  # a log may lag; the state of the machine comes from elsewhere

    def _show(self, chunk: serial.Chunk) -> None:
        if chunk.lost:
            self._emit(
                f"… {chunk.lost} bytes of serial output were overwritten before they could be read"
            )
        self.said += serial.said(chunk.lines, self._nonce)
        for line in boot_lines.for_task_log(chunk.lines):
            self._emit(line)
        self.tail.extend(boot_lines.for_terminal(chunk.lines))
