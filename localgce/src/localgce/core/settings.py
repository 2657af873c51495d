"""How a server was started."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """The settings of one server; graces are in seconds."""

    state: Path
    project: str
    cache: Path
    shutdown_grace: float = 90.0  # from the ACPI power button to a hard power-off
    exit_grace: float = 90.0  # the same when the server ends
