"""A localgce by itself with instant machines, for what needs no Airflow."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from devstack.machines import GUEST

GCE_PROJECT = "bakehouse-local"
LAST_WORDS = 60.0  # seconds for a thousand machines to be put down


@contextmanager
def serving(folder: Path, guest: Path = GUEST) -> Generator[str]:
    """Its address, while it serves `GCE_PROJECT` with its state below `folder`."""
    command = [sys.executable, "-m", "localgce", "serve", "--port", "0", "--machines", "instant"]
    command += ["--state", str(folder / "state"), "--project", GCE_PROJECT, "--guest", str(guest)]
    with (folder / "localgce.log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert process.stdout is not None
            yield process.stdout.readline().removeprefix("ready ").strip()
        finally:
            process.terminate()
            process.wait(timeout=LAST_WORDS)
