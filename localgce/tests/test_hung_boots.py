"""Machines whose kernel hangs before it has written to a disk are reset, and no others."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from localgce.core.errors import MachineError
from localgce.machines.qemu.hung_boots import RESETS, SILENT_SECONDS, HungBoots, before_init

KERNEL = (
    b"SeaBIOS\r\n[    0.000000] Linux version 6.1.0-56-cloud-amd64 (Debian)\r\n"
    b"[    0.000000] BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable\r\n"
    b"[    1.433181] IP idents hash table entries: 32768\r\n"
)
INIT = b"[    2.356501] Run /init as init process\r\n"
PANIC = b"[    1.9] Kernel panic - not syncing: VFS: Unable to mount root fs\r\n"


@dataclass
class Machine:
    output: bytes
    after_reset: bytes = b""
    running: bool = True
    gone: bool = False
    resets: list[float] = field(default_factory=list)
    now: float = 0.0

    async def runs(self) -> bool:
        if self.gone:
            raise MachineError("it is not running")
        return self.running

    def serial(self, port: int = 1, start: int = 0) -> tuple[bytes, int, int]:
        assert port == 1
        first = len(self.output) + start if start < 0 else start
        return self.output[first:], first, len(self.output)

    async def reset(self) -> None:
        self.resets.append(self.now)
        self.output += self.after_reset


def watched(*machines: Machine, seconds: int = 600, every: int = 20) -> None:
    """Look at machines that write nothing of their own."""
    now = 0.0
    found = HungBoots(lambda: now)

    async def look() -> None:
        nonlocal now
        for now in range(0, seconds, every):
            for machine in machines:
                machine.now = now
            await found.look({f"m{number}": one for number, one in enumerate(machines)})

    asyncio.run(look())


def test_a_kernel_that_is_silent_before_init_is_reset_and_goes_on() -> None:
    machine = Machine(KERNEL, after_reset=KERNEL + INIT)
    watched(machine)
    assert machine.resets == [SILENT_SECONDS]


def test_a_kernel_that_hangs_each_time_is_left_after_some_resets() -> None:
    machine = Machine(KERNEL, after_reset=KERNEL)
    watched(machine)
    assert len(machine.resets) == RESETS


@pytest.mark.parametrize(
    "output",
    [
        b"",  # it writes nothing to its serial port
        b"GRUB loading.\r\n",
        b"[    0.000000] Linux version 6.1 (quiet: Run /init is not written)\r\n",
        KERNEL + INIT,
        KERNEL + INIT + b"Debian GNU/Linux 12 web ttyS0\r\nlogin: ",
        KERNEL + PANIC,
        KERNEL + KERNEL + INIT,  # the boot before was reset
        KERNEL + b"[    2.0] systemd[1]: systemd 252 running in system mode\r\n",
    ],
)
def test_a_machine_past_init_or_one_that_does_not_say_so_is_left(output: bytes) -> None:
    machine = Machine(output)
    watched(machine)
    assert not machine.resets
    assert not before_init(output)


def test_a_machine_that_hangs_after_a_reboot_is_reset() -> None:
    machine = Machine(KERNEL + INIT + b"reboot: Restarting system\r\n" + KERNEL)
    watched(machine, seconds=100)
    assert len(machine.resets) == 1


def test_a_suspended_machine_and_one_that_has_just_stopped_are_left() -> None:
    suspended, stopped = Machine(KERNEL, running=False), Machine(KERNEL, gone=True)
    booting = Machine(KERNEL)
    watched(suspended, stopped, booting, seconds=100)
    assert (suspended.resets, stopped.resets, len(booting.resets)) == ([], [], 1)


def test_time_before_the_last_line_does_not_count() -> None:
    times = iter((0.0, 40.0, 80.0, 120.0, 120.0 + SILENT_SECONDS - 1))
    found, machine = HungBoots(lambda: next(times)), Machine(KERNEL)

    async def look() -> None:
        for _ in range(4):
            machine.output += b"[    1.5] another line\r\n"
            await found.look({"m": machine})
        await found.look({"m": machine})

    asyncio.run(look())
    assert not machine.resets
