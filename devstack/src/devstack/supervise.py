"""The programs of a stack, and the configuration by which supervisord keeps them running."""

from __future__ import annotations

import os
import resource
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from devstack.layout import Layout, Record
from devstack.parent_death import OPEN_FILES

PARENT_DEATH = Path(__file__).with_name("parent_death.py")
GCE = "localgce"
WATCH = "watch"


@dataclass(frozen=True)
class Program:
    """One supervised process. Lower `order` starts first and stops last."""

    name: str
    command: tuple[str, ...]
    order: int
    stop_seconds: int
    alone: bool  # what an earlier start of it left behind is killed before the next


def programs(record: Record, layout: Layout, guest: Path | None) -> list[Program]:
    """What the stack consists of; tasks of one that stays get a little time to end."""
    python = sys.executable
    grace = 8 if record.owner_pid is None else 3
    serve = [
        python, str(Path(python).with_name("localgce")), "serve",
        "--port", str(record.gce_port), "--state", str(layout.gce),
        "--machines", record.machines, "--project", record.gce_project,
    ]  # fmt: skip
    if guest is not None and record.machines == "instant":
        serve += ["--guest", str(guest)]
    watch = (python, "-m", "devstack.liveness", str(layout.state))
    return [
        # its machines outlive a crash of the server and are adopted by the next: never "alone"
        Program(GCE, tuple(serve), 10, 30, alone=False),
        *(
            Program(name, (python, "-m", "airflow", *arguments), 20, grace, alone=True)
            for name, arguments in record.topology.components.items()
        ),
        Program(WATCH, watch, 20, 3, alone=True),
    ]


def render(stack: list[Program], layout: Layout) -> str:
    """supervisord's configuration; started in the state folder, so that its paths are relative."""
    airflow = [p.name for p in stack if p.name != GCE]
    return "\n".join(
        [
            "[supervisord]",
            "nodaemon = true",
            "logfile = logs/supervisord.log",
            "logfile_maxbytes = 5MB",
            "logfile_backups = 1",
            "pidfile = run/supervisord.pid",
            "childlogdir = logs",
            f"minfds = {_open_files()}",
            *(["user = root"] if os.geteuid() == 0 else []),
            "",
            # the programs of a group stop at the same time, groups one after the other
            "[group:airflow]",
            f"programs = {','.join(airflow)}",
            "priority = 20",
            "",
            *(line for program in stack for line in _section(program, layout)),
        ]
    )


def _section(program: Program, layout: Layout) -> list[str]:
    tether = (
        sys.executable, "-I", str(PARENT_DEATH), "--parent", str(layout.supervisor_pid),
        "--name", program.name, "--run", str(layout.run),
        *(["--alone"] if program.alone else []), "--", *program.command,
    )  # fmt: skip
    return [
        f"[program:{program.name}]",
        f"command = {_escaped(shlex.join(tether))}",
        f"priority = {program.order}",
        "autorestart = true",
        "startsecs = 5",
        "startretries = 1000000",  # each try waits a second longer; giving up helps nobody
        f"stopwaitsecs = {program.stop_seconds}",
        "stopasgroup = true" if program.name != GCE else "stopasgroup = false",
        "killasgroup = true",
        "redirect_stderr = true",
        f"stdout_logfile = logs/{program.name}.log",
        "stdout_logfile_maxbytes = 20MB",
        "stdout_logfile_backups = 1",
        "",
    ]


def _escaped(text: str) -> str:
    """supervisord expands %(name)s, and takes what follows ` ;` for a comment."""
    return text.replace("%", "%%").replace(" ;", " \\;")


def _open_files() -> int:
    """supervisord refuses to start where it may not have as many as it asks for."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
