"""A terminal on a machine's console, or one command on it. The server's socket leads there."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import select
import shlex
import shutil
import socket
import sys
import termios
import time
import tty
from typing import TYPE_CHECKING, NamedTuple

from bakehouse.local.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Generator

LEAVE = b"\x1d"  # Ctrl-]
SHELL_WITHIN = 90.0  # seconds
PROBE_EVERY = 2.0
_CHUNK = 65536
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|\r")


class Ran(NamedTuple):
    """A command that has ended."""

    code: int
    output: str


class Console:
    """The socket of a console; a shell answers on it, or LocalError says that none does."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise LocalError(f"the console cannot be reached: {error}") from error

    def close(self) -> None:
        """Leave; the shell stays as it is."""
        self._socket.close()

    def until_a_shell_answers(self) -> None:
        """Ask until somebody answers: what is written before the shell starts is lost."""
        first, second = secrets.token_hex(4), secrets.token_hex(4)
        until = time.monotonic() + SHELL_WITHIN
        while time.monotonic() < until:
            self._send(f" stty -echo; printf '%s%s\\n' {first} {second}\n")
            if self._read_until(f"{first}{second}", PROBE_EVERY) is not None:
                self._read_until("\0", 0.2)  # the prompt, and answers to earlier questions
                return
        raise LocalError(
            "no shell answers on the console: is the machine still booting, or older than systemd"
            " 252?"
        )

    def run(self, command: str, within: float) -> Ran:
        """Run one command line; its output is as a terminal shows it."""
        begin, end = secrets.token_hex(4), secrets.token_hex(4)
        split = f"'{end[:4]}' '{end[4:]}'"
        self._send(
            f" printf '%s%s\\n' '{begin[:4]}' '{begin[4:]}'; eval {shlex.quote(command)};"
            f" printf '\\n%s%s=%d.\\n' {split} $?\n"
        )
        said = self._read_until(f"{end}=", within)
        if said is None:
            raise LocalError(f"the command has not ended within {within:.0f} s")
        rest = self._read_until(".", PROBE_EVERY) or ""
        found = re.search(rf"{end}=(\d+)\.", said + rest)
        text = _ESCAPES.sub("", (said + rest).partition(begin)[2])
        lines = text.partition(f"\n{end}=")[0].split("\n")[1:]
        return Ran(int(found[1]) if found else 1, "\n".join(lines).rstrip() + "\n")

    def attach(self) -> None:
        """Connect this terminal until Ctrl-]."""
        size = shutil.get_terminal_size()
        self._send(f" stty echo sane rows {size.lines} cols {size.columns}; cd .\n")
        with _raw_terminal():
            while True:
                ready = select.select([sys.stdin, self._socket], [], [])[0]
                if self._socket in ready:
                    data = self._socket.recv(_CHUNK)
                    if not data:
                        return
                    os.write(sys.stdout.fileno(), data)
                if sys.stdin in ready:
                    typed = os.read(sys.stdin.fileno(), _CHUNK)
                    if not typed or LEAVE in typed:
                        return
                    self._socket.sendall(typed)

    def _send(self, text: str) -> None:
        try:
            self._socket.sendall(text.encode())
        except OSError as error:
            raise LocalError("the console has ended: the machine has stopped") from error

    def _read_until(self, text: str, within: float) -> str | None:
        """Return what was read up to the text; None if it does not come in time."""
        said, until = b"", time.monotonic() + within
        while (left := until - time.monotonic()) > 0:
            if not select.select([self._socket], [], [], left)[0]:
                return None
            data = self._socket.recv(_CHUNK)
            if not data:
                raise LocalError("the console has ended: the machine has stopped")
            said += data
            if text.encode() in said:
                return said.decode(errors="replace")
        return None


@contextlib.contextmanager
def _raw_terminal() -> Generator[None]:
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setraw(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
