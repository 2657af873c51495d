"""What real disks and machines cost, against QEMU alone."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from server import ZONE, Bench, instance, serving

GIB = 3
PAIRS = 2
LONGEST = 600.0  # seconds that a boot or a shutdown may take
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
    """Start to login by the API, over QEMU alone with the same words on the same disk.

    The better of a few boots of each, taken in turn, since what else runs only ever slows one.
    """
    _need("qemu-system-x86_64", "socat")
    with serving("qemu") as bench:
        bench.do("POST", f"{ZONE}/instances", instance("vm"))
        number = bench.call("GET", f"{ZONE}/instances/vm")["id"]
        folder = bench.state / "machines" / number
        serial = folder / "serial-1.log"
        words = _words(int((folder / "qemu.pid").read_text()))
        _wait(lambda: b"login:" in serial.read_bytes(), "the first login")
        bench.do("POST", f"{ZONE}/instances/vm/stop")
        ours, plain = [], []
        for _ in range(PAIRS):
            ours.append(_ours(bench, serial))
            plain.append(_plain(words, folder, serial))
        return min(ours) / min(plain)


def _ours(bench: Bench, serial: Path) -> float:
    before = serial.stat().st_size
    begun = time.monotonic()
    operation = bench.call("POST", f"{ZONE}/instances/vm/start")
    _wait(lambda: _logged_in(serial, before), "the login")
    seconds = time.monotonic() - begun
    bench.finish(operation)
    bench.do("POST", f"{ZONE}/instances/vm/stop")
    return seconds


def _plain(words: list[str], folder: Path, serial: Path) -> float:
    before = serial.stat().st_size
    begun = time.monotonic()
    subprocess.run(words, check=True)
    _wait(lambda: _logged_in(serial, before), "the login of QEMU alone")
    seconds = time.monotonic() - begun
    process = psutil.Process(int((folder / "qemu.pid").read_text()))
    try:
        _press_button(words)
        process.wait(LONGEST)
    finally:
        if process.is_running():
            process.kill()
    return seconds


def _words(pid: int) -> list[str]:
    """The command line of a running QEMU, without what makes it wait for our first order."""
    raw = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0")
    return [word for word in raw.decode().split("\0") if word != "-S"]


def _press_button(words: list[str]) -> None:
    path = words[words.index("-qmp") + 1].removeprefix("unix:").split(",")[0]
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.connect(path)
        for order in ("qmp_capabilities", "system_powerdown"):
            monitor.recv(65536)
            monitor.sendall(json.dumps({"execute": order}).encode())
        monitor.recv(65536)


def _logged_in(serial: Path, before: int) -> bool:
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
