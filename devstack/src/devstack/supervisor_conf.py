"""The configuration with which supervisord keeps the programs of a stack running."""

from __future__ import annotations

import os
import resource
import shlex
import sys
from typing import TYPE_CHECKING

from devstack.parent_death import OPEN_FILES
from devstack.programs import GCE, PARENT_DEATH, Program

if TYPE_CHECKING:
    from devstack.layout import Layout


def render(stack: list[Program], layout: Layout) -> str:
    """The text of the file; supervisord runs in the state folder, so paths are relative."""
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
    command = (
        sys.executable, "-I", str(PARENT_DEATH), "--parent", str(layout.supervisor_pid),
        "--name", program.name, "--run", str(layout.run),
        *(["--alone"] if program.alone else []), "--", *program.command,
    )  # fmt: skip
    return [
        f"[program:{program.name}]",
        f"command = {_escaped(shlex.join(command))}",
        f"priority = {program.order}",
        "autorestart = true",
        "startsecs = 5",
        "startretries = 1000000",  # each try waits a second longer; it never gives up
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
    """Escape %(name)s, which supervisord expands, and ` ;`, which begins a comment."""
    return text.replace("%", "%%").replace(" ;", " \\;")


def _open_files() -> int:
    """For `minfds`: supervisord does not start when the hard limit is below it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
