"""The wait until a stack that was started is healthy."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from devstack.health import Health, check_health
from devstack.program_logs import last_lines, starts
from devstack.programs import GCE
from devstack.teardown import supervisor_of
from devstack.waiting import DeadlineExceeded, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from devstack.layout import Layout
    from devstack.record import Record

MOST_STARTS = 3  # of one program while the stack starts: it keeps ending


class Unhealthy(RuntimeError):
    """A part of the stack does not come up; the message holds the end of its log."""


def wait_until_healthy(
    layout: Layout, record: Record, deadline: float, progress: Callable[[str], None]
) -> None:
    """Raises Unhealthy after `deadline` seconds, or as soon as a program keeps ending."""
    startup = _Startup(layout, record, progress)
    try:
        wait_until(startup.is_healthy, deadline, "the stack to be healthy")
    except DeadlineExceeded:
        logs = (f"{name}: {last_lines(layout, name)}" for name in startup.health.missing)
        raise Unhealthy(f"not healthy after {deadline:.0f} s: {'; '.join(logs)}") from None


class _Startup:
    """Reports each part once, when it answers."""

    def __init__(self, layout: Layout, record: Record, progress: Callable[[str], None]) -> None:
        self.layout, self.record, self.progress = layout, record, progress
        self.began = time.monotonic()
        self.up: set[str] = set()
        self.health = Health(())

    def is_healthy(self) -> bool:
        self.health = check_health(self.record)
        for check in self.health.checks:
            if check.ok and check.name not in self.up:
                self.up.add(check.name)
                self.progress(f"{check.name} answers after {time.monotonic() - self.began:.0f} s")
        if not self.health.ok:
            self.raise_for_ended_programs()
        return self.health.ok

    def raise_for_ended_programs(self) -> None:
        for name in (GCE, *self.record.topology.components):
            if starts(self.layout, name) >= MOST_STARTS:
                raise Unhealthy(f"{name} keeps ending: {last_lines(self.layout, name)}")
        if self.layout.supervisor_pid.exists() and supervisor_of(self.layout) is None:
            log = last_lines(self.layout, "supervisord")
            raise Unhealthy(f"supervisord has ended: {log}")
