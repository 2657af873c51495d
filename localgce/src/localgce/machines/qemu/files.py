"""The files in a machine's folder, and paths that fit into the address of a unix socket."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from localgce.core.errors import MachineError

_LONGEST = 100  # sun_path holds 108 bytes on Linux, with the final zero


@dataclass(frozen=True)
class MachineFiles:
    """The folder `<state>/machines/<id>`."""

    folder: Path

    @property
    def pid(self) -> Path:
        """Written by QEMU; its path in the command line identifies the machine's process."""
        return self.folder / "qemu.pid"

    @property
    def qmp(self) -> Path:
        """The socket of QEMU's machine protocol."""
        return socket_path(self.folder / "qmp.sock")

    @property
    def metadata(self) -> Path:
        """The socket of the metadata server."""
        return socket_path(self.folder / "metadata.sock")

    @property
    def console(self) -> Path:
        """The socket of the console, once somebody has asked for it."""
        return socket_path(self.folder / "console.sock")

    @property
    def screenshot(self) -> Path:
        """The last picture of the display."""
        return self.folder / "display.png"

    @property
    def log(self) -> Path:
        """QEMU's messages after its start."""
        return self.folder / "qemu.log"

    def serial(self, port: int) -> Path:
        """The output of a serial port."""
        return self.folder / f"serial-{port}.log"


def socket_path(path: Path) -> Path:
    """The path in a form that QEMU and socat accept as the address of a socket.

    A path that is too long, or has characters with a meaning to them, is reached through a symbolic
    link to its folder in the system's temporary folder.
    """
    path = path.absolute()
    if len(os.fsencode(path)) <= _LONGEST and re.fullmatch(r"[\w/.+@-]+", str(path), re.ASCII):
        return path
    link = _link(path.parent)
    if not link.is_symlink():
        link.symlink_to(path.parent)
    # every user can write to that folder: the link may be another user's
    if link.lstat().st_uid != os.getuid() or link.readlink() != path.parent:
        raise MachineError(f"{link} is not a link of this user to {path.parent}; remove it")
    return link / path.name


def sweep_links() -> None:
    """Delete this user's links to folders that no longer exist."""
    for link in Path(tempfile.gettempdir()).glob(f"localgce-{os.getuid()}-*"):
        if link.is_symlink() and not link.exists():
            link.unlink(missing_ok=True)


def _link(folder: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"localgce-{os.getuid()}-{digest}"
