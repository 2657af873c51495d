"""The programs of a stack."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from devstack.layout import Layout
    from devstack.record import Record

PARENT_DEATH = Path(__file__).with_name("parent_death.py")
GCE = "localgce"
LIVENESS = "liveness"


@dataclass(frozen=True)
class Program:
    """One supervised process. Lower `order` starts first and stops last."""

    name: str
    command: tuple[str, ...]
    order: int
    stop_seconds: int
    alone: bool  # before a start, what the previous one left behind is killed


def programs(record: Record, layout: Layout, guest: Path | None) -> list[Program]:
    """The programs of the stack.

    One that stays gives running tasks and machines some seconds to end; what another one has is
    thrown away.
    """
    python = sys.executable
    stays = record.owner_pid is None
    grace = 8 if stays else 1
    power_off = 20 if stays else 5  # seconds, less than supervisord
    serve = [
        python, str(Path(python).with_name("localgce")), "serve",
        "--port", str(record.gce_port), "--state", str(layout.gce),
        "--machines", record.machines, "--project", record.gce_project,
        "--shutdown-grace", str(power_off), "--exit-grace", str(power_off if stays else 0),
    ]  # fmt: skip
    if guest is not None and record.machines == "instant":
        serve += ["--guest", str(guest)]
    liveness = (python, "-m", "devstack.liveness", str(layout.state))
    return [
        # its machines survive a crash of the server, and the next one adopts them: never "alone"
        Program(GCE, tuple(serve), 10, 30, alone=False),
        *(
            Program(name, (python, "-m", "airflow", *arguments), 20, grace, alone=True)
            for name, arguments in record.topology.components.items()
        ),
        Program(LIVENESS, liveness, 20, 3, alone=True),
    ]
