from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.support.changes import Changes

from bakehouse.cloud.rate_limiter import RateLimiter
from bakehouse.cloud.serial_stream import SerialStream
from bakehouse.core.errors import TransientError

NONCE = "f" * 32
SAID = f"bakehouse {json.dumps({'nonce': NONCE, 'result': 'ok'})}"


class Machine:
    """Serial port 1 of a machine, and the log that its lines end up in."""

    def __init__(self) -> None:
        self.text = ""
        self.reads = 0
        self.log: list[str] = []
        self.changes = Changes()
        self.saved = 0
        self.broken = False

    def read(self, start: int) -> dict[str, Any]:
        self.reads += 1
        if self.broken:
            raise TransientError("HTTP 503")
        data = self.text.encode()
        start = max(0, len(data) + start) if start < 0 else start
        return {
            "contents": data[start:].decode(),
            "start": str(start),
            "next": str(max(start, len(data))),
        }

    def write(self, line: str) -> None:
        self.log.append(line)
        self.changes.notify()

    async def save(self, at: int) -> None:
        self.saved = at
        self.changes.notify()

    def stream(self, offset: int = 0) -> SerialStream:
        budget = RateLimiter(60_000, burst=100, clock=asyncio.get_running_loop().time)
        return SerialStream(self.read, self.write, self.save, NONCE, budget, offset)


async def followed(machine: Machine, stream: SerialStream, until: int) -> asyncio.Task[None]:
    task = asyncio.create_task(stream.follow(0.005))
    await machine.changes.until(lambda: len(machine.log) >= until)
    return task


async def test_lines_appear_once_while_the_machine_writes_them() -> None:
    machine = Machine()
    stream = machine.stream()
    machine.text = "one\ntw"
    task = await followed(machine, stream, 1)
    machine.text += "o\nthree"
    await stream.stop(task)
    assert machine.log == ["  │ one", "  │ two", "  │ three"]


async def test_an_offset_is_saved_once_its_lines_have_had_time_to_be_written() -> None:
    machine = Machine()
    machine.text = "one\ntwo\n"
    stream = machine.stream()
    await stream.catch_up(last=False)
    assert (len(machine.log), machine.saved) == (2, 0), "a kill now shows them again"
    machine.text += "three\n"
    await stream.catch_up(last=False)
    assert (len(machine.log), machine.saved) == (3, len("one\ntwo\n"))


async def test_a_restarted_triggerer_goes_on_where_the_log_ended() -> None:
    machine = Machine()
    machine.text = "one\ntwo\n"
    before = machine.stream()
    task = await followed(machine, before, 2)
    await machine.changes.until(lambda: bool(machine.saved))
    task.cancel()
    machine.text += "three\n"
    after = machine.stream(offset=machine.saved)
    await after.stop(asyncio.create_task(after.follow(9)))
    assert machine.log == ["  │ one", "  │ two", "  │ three"]


async def test_what_was_said_before_the_restart_is_remembered() -> None:
    machine = Machine()
    machine.text = f"{SAID}\nlast words\n"
    after = machine.stream(offset=len(machine.text))
    await after.recall()
    assert [line["result"] for line in after.said] == ["ok"]
    assert list(after.tail) == ["guest reports: result ok", "  │ last words"]
    assert machine.log == []


async def test_recall_does_not_say_twice_what_was_heard() -> None:
    machine = Machine()
    machine.text = f"{SAID}\n"
    stream = machine.stream()
    task = await followed(machine, stream, 1)
    await stream.recall()
    await stream.stop(task)
    assert len(stream.said) == 1


async def test_a_burst_of_lines_is_bounded_and_complete() -> None:
    machine = Machine()
    machine.text = "".join(f"{n}\n" for n in range(1800))
    stream = machine.stream()
    await stream.stop(asyncio.create_task(stream.follow(9)))
    assert machine.log == [f"  │ {n}" for n in range(1800)]
    assert len(stream.tail) == 50
    assert machine.reads == 1, "one answer, four batches"


async def test_a_port_that_does_not_answer_stops_nothing() -> None:
    machine = Machine()
    machine.text = "one\n"
    machine.broken = True
    stream = machine.stream()
    task = asyncio.create_task(stream.follow(0.005))
    await asyncio.sleep(0.05)
    machine.broken = False
    await machine.changes.until(lambda: bool(machine.log))
    await stream.stop(task)
    assert machine.log == ["  │ one"]


async def test_boot_lines_are_folded_in_the_log_and_counted_in_the_tail() -> None:
    machine = Machine()
    boot = [f"[    0.{n:06}] pci 0000:00:0{n}.0" for n in range(5)]
    machine.text = "\n".join([*boot, "Setting up nginx", ""])
    stream = machine.stream()
    await stream.stop(asyncio.create_task(stream.follow(9)))
    title = "5 lines of the kernel and of systemd"
    group = [f"::group::{title}", *(f"  │ {line}" for line in boot), "::endgroup::"]
    assert machine.log == [*group, "  │ Setting up nginx"]
    assert list(stream.tail) == [f"  │ … {title}", "  │ Setting up nginx"]
    again = machine.stream(offset=len(machine.text))
    await again.recall()
    assert again.tail == stream.tail
