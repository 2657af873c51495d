"""What real disks and machines cost, against QEMU alone."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from server import ZONE, Bench, instance, serving

if TYPE_CHECKING:
    from collections.abc import Callable

GIB = 3
PAIRS = 2
LONGEST = 300.0  # seconds that a boot or a shutdown may take
POLL = 0.02


class CannotMeasure(Exception):
    """Something is missing on this machine; the message is one line."""


def image_creation_seconds() -> float:
    """images.insert from a disk that is full of data, from the call to READY."""
    _need("qemu-io", "qemu-img")
    with serving("qemu") as bench:
        bench.do("POST", f"{ZONE}/disks", {"name": "full", "sizeGb": str(GIB)})
        number = bench.call("GET", f"{ZONE}/disks/full")["id"]
        (content,) = (p for p in bench.state.rglob(f"*{number}*") if p.suffix == ".qcow2")
        fill = [arg for i in range(GIB) for arg in ("-c", f"write -q -P 7 {i}G 1023M")]
        subprocess.run(["qemu-io", "-f", "qcow2", *fill, str(content)], check=True)
        begun = time.monotonic()
        source = {"name": "image", "sourceDisk": f"{ZONE}/disks/full"}
        bench.do("POST", "global/images", source)
        return time.monotonic() - begun


def boot_over_plain_qemu() -> float:
    """Start to login by the API, over QEMU alone with the same words and a copy of the disk.

    The better of a few boots of each, taken in turn, since what else runs only ever slows one.
    While QEMU runs alone, ours is suspended: its metadata server answers both.
    """
    _need("qemu-system-x86_64", "socat")
    with serving("qemu") as bench:
        bench.do("POST", f"{ZONE}/instances", instance("vm"))
        number = bench.call("GET", f"{ZONE}/instances/vm")["id"]
        folder = bench.state / "machines" / number
        plain = Plain(bench, folder)
        _wait(lambda: _logged_in(folder, 0), "the first login")
        bench.do("POST", f"{ZONE}/instances/vm/stop")
        plain.copy_disk()
        ours, alone = [], []
        for _ in range(PAIRS):
            ours.append(_ours(bench, folder))
            bench.do("POST", f"{ZONE}/instances/vm/suspend")
            alone.append(plain.boot())
            bench.do("POST", f"{ZONE}/instances/vm/resume")
            bench.do("POST", f"{ZONE}/instances/vm/stop")
        return min(ours) / min(alone)


def _ours(bench: Bench, folder: Path) -> float:
    before = _said(folder)
    begun = time.monotonic()
    operation = bench.call("POST", f"{ZONE}/instances/vm/start")
    _wait(lambda: _logged_in(folder, before), "the login")
    seconds = time.monotonic() - begun
    bench.finish(operation)
    return seconds


class Plain:
    """QEMU without localgce: the words of a running machine, with files of its own."""

    def __init__(self, bench: Bench, machine: Path) -> None:
        """Take the command line of the running machine."""
        self.folder = bench.state / "plain"
        self.folder.mkdir()
        number = bench.call("GET", f"{ZONE}/disks/vm")["id"]
        (self._disk,) = (p for p in bench.state.rglob(f"*{number}*") if p.suffix == ".qcow2")
        self._copy = self._disk.with_name(f"plain-{self._disk.name}")  # finds the same layers
        raw = Path(f"/proc/{int((machine / 'qemu.pid').read_text())}/cmdline").read_bytes()
        words = raw.rstrip(b"\0").decode().split("\0")
        # -S makes it wait for an order that nobody gives here
        self.words = [self._own(word, machine) for word in words if word != "-S"]

    def _own(self, word: str, machine: Path) -> str:
        word = word.replace(f"{machine}/", f"{self.folder}/").replace(
            str(self._disk), str(self._copy)
        )
        return word.replace(f"{self.folder}/metadata.sock", f"{machine}/metadata.sock")

    def copy_disk(self) -> None:
        """The boot disk as it is, on the same layers."""
        shutil.copy(self._disk, self._copy)

    def boot(self) -> float:
        """Seconds from the start to the login; off again when this returns."""
        before = _said(self.folder)
        begun = time.monotonic()
        subprocess.run(self.words, check=True)
        process = psutil.Process(int((self.folder / "qemu.pid").read_text()))
        try:
            _wait(lambda: _logged_in(self.folder, before), "the login of QEMU alone")
            seconds = time.monotonic() - begun
            _press_button(self.words)
            process.wait(LONGEST)
        finally:
            if process.is_running():
                process.kill()
        return seconds


def _press_button(words: list[str]) -> None:
    path = words[words.index("-qmp") + 1].removeprefix("unix:").split(",")[0]
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.connect(path)
        for order in ("qmp_capabilities", "system_powerdown"):
            monitor.recv(65536)
            monitor.sendall(json.dumps({"execute": order}).encode())
        monitor.recv(65536)


def _said(folder: Path) -> int:
    """Bytes on the serial port until now."""
    serial = folder / "serial-1.log"
    return serial.stat().st_size if serial.exists() else 0


def _logged_in(folder: Path, before: int) -> bool:
    serial = folder / "serial-1.log"
    if not serial.exists():
        return False
    with serial.open("rb") as file:
        file.seek(before)
        return b"login:" in file.read()


def _wait(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + LONGEST
    while not true():
        if time.monotonic() > end:
            raise CannotMeasure(f"waited {LONGEST:.0f} s in vain for {what}")
        time.sleep(POLL)


def _need(*programs: str) -> None:
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise CannotMeasure(f"needs {', '.join(missing)}")
