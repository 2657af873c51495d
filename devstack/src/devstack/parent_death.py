"""Starts a program that must not outlive its parent. Run by path; needs Python's own library only.

    python parent_death.py --parent PID|FILE [--signal SIGINT] [--name NAME --run FOLDER [--alone]]
        -- PROGRAM ARGUMENT...

The kernel sends the program SIGTERM, or the signal of that name, when its parent ends, however it
ends (PR_SET_PDEATHSIG outlasts exec). `--run` keeps NAME.pid and NAME.starts (one line for each
start) there. `--alone` first kills what an earlier start of the same program left behind:
Airflow's local workers wait for orders for ever when their scheduler was killed.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import resource
import signal
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
OPEN_FILES = 4096  # each waiting trigger holds a log file open
# the names of processes.py, which a script run by path cannot import
MARK = "BAKEHOUSE_STACK"
PROGRAM = "BAKEHOUSE_PROGRAM"


def main(arguments: list[str]) -> int:
    """Become the command, killed when its parent ends; returns 127 if it cannot be run."""
    options, command = parse(arguments)
    die_with(parent_pid(options.parent), signal.Signals[options.signal])
    raise_open_files()
    if options.name:
        os.environ[PROGRAM] = options.name
        if options.alone:
            kill_leftovers(options.name)
        note_start(Path(options.run), options.name)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"cannot start {command[0]}: {error.strerror}", file=sys.stderr)
        return 127


def parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """The options before `--` and the command after it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", required=True)
    parser.add_argument("--signal", default="SIGTERM")
    parser.add_argument("--name")
    parser.add_argument("--run")
    parser.add_argument("--alone", action="store_true")
    at = arguments.index("--")
    return parser.parse_args(arguments[:at]), arguments[at + 1 :]


def parent_pid(where: str) -> int:
    """A number, or the number in that file."""
    return int(where) if where.isdigit() else int(Path(where).read_text(encoding="ascii"))


def die_with(parent: int, number: signal.Signals) -> None:
    """Tie this process to its parent; it may have died before the call, hence the check."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        sys.exit(0)


def raise_open_files() -> None:
    """Raise the soft limit of open files as far as the hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def kill_leftovers(name: str) -> None:
    """Kill the processes of the same stack and name that an earlier start left."""
    wanted = {f"{MARK}={os.environ.get(MARK, '')}".encode(), f"{PROGRAM}={name}".encode()}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            if wanted <= set((folder / "environ").read_bytes().split(b"\0")):
                os.kill(int(folder.name), signal.SIGKILL)
        except OSError:
            continue


def note_start(run: Path, name: str) -> None:
    """Write the pid file, and add the time of this start in epoch seconds."""
    (run / f"{name}.pid").write_text(str(os.getpid()), encoding="ascii")
    with (run / f"{name}.starts").open("a", encoding="ascii") as file:
        file.write(f"{time.time():.3f}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
