"""localgce with instant machines and without Airflow, for tests in one process."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from devstack.machines import GUEST

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

GCE_PROJECT = "bakehouse-local"
STOP_TIMEOUT = 60.0  # seconds, enough for a thousand machines


@contextmanager
def serving(folder: Path, guest: Path = GUEST, clock_rate: float = 1.0) -> Generator[str]:
    """Its URL; it serves `GCE_PROJECT` with its state below `folder`.

    The time of the server, and of its machines, passes `clock_rate` times as fast as real time.
    """
    command = [sys.executable, "-m", "localgce", "serve", "--port", "0", "--machines", "instant"]
    command += ["--state", str(folder / "state"), "--project", GCE_PROJECT, "--guest", str(guest)]
    command += ["--clock-rate", str(clock_rate)]
    with (
        (folder / "localgce.log").open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            yield process.stdout.readline().removeprefix("ready ").strip()
        finally:
            process.terminate()
            process.wait(timeout=STOP_TIMEOUT)
