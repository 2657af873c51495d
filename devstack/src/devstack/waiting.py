"""The one place of the devstack that polls: HTTP servers and processes announce nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class DeadlineExceeded(RuntimeError):
    """A wait ended without its condition; the message names what it waited for."""


def wait_until(
    condition: Callable[[], bool], deadline: float, what: str, every: float = 0.5
) -> None:
    """Poll the condition until it is true; raises DeadlineExceeded after `deadline` seconds."""
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() > end:
            raise DeadlineExceeded(f"waited {deadline:.0f} s in vain for {what}")
        time.sleep(every)


def every(seconds: float) -> Iterator[None]:
    """Yields once per interval, for ever, the first time after one interval."""
    while True:
        time.sleep(seconds)
        yield
