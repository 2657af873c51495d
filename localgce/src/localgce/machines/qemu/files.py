"""What lies in a machine's folder, and paths that fit into a unix socket's address."""

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
        """Written by QEMU itself; it also tells this machine's process by its command line."""
        return self.folder / "qemu.pid"

    @property
    def qmp(self) -> Path:
        return socket_path(self.folder / "qmp.sock")

    @property
    def metadata(self) -> Path:
        """Served by the metadata server, asked by the guest."""
        return socket_path(self.folder / "metadata.sock")

    @property
    def log(self) -> Path:
        """What QEMU says after its start."""
        return self.folder / "qemu.log"

    def serial(self, port: int) -> Path:
        return self.folder / f"serial-{port}.log"


def socket_path(path: Path) -> Path:
    """The same place under a name that QEMU and socat can take as a socket's address.

    They cannot where it is too long or has characters with a meaning to them: then it is reached
    through a symbolic link to its folder, below the system's folder for temporary files.
    """
    path = path.absolute()
    if len(os.fsencode(path)) <= _LONGEST and re.fullmatch(r"[\w/.+@-]+", str(path), re.ASCII):
        return path
    link = _link(path.parent)
    if not link.is_symlink():
        link.symlink_to(path.parent)
    # a folder for everyone: somebody else may have put a link of that name there
    if link.lstat().st_uid != os.getuid() or link.readlink() != path.parent:
        raise MachineError(f"{link} is not a link of this user's to {path.parent}; remove it")
    return link / path.name


def sweep_links() -> None:
    """Remove this user's links to folders that are no more."""
    for link in Path(tempfile.gettempdir()).glob(f"localgce-{os.getuid()}-*"):
        if link.is_symlink() and not link.exists():
            link.unlink(missing_ok=True)


def _link(folder: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"localgce-{os.getuid()}-{digest}"
