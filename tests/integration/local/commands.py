"""The command line in a project of a test's own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

COMMAND_SECONDS = 1200


class Loop(NamedTuple):
    """A project of its own, and the command line in it."""

    project: Path

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments),
            cwd=self.project,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """One that goes on."""
        return subprocess.Popen(
            command(*arguments),
            cwd=self.project,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def file(self, name: str) -> Path:
        return self.project / "include" / name

    def machines(self) -> list[str]:
        lines = self("ps").stdout.splitlines()[1:]
        return [line.split()[1] for line in lines if line.startswith("machine")]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "bakehouse.cli", *arguments]


def environment() -> dict[str, str]:
    return {**os.environ, "BAKEHOUSE_LOCAL_MACHINES": "instant"}
