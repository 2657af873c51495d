"""`localgce doctor`: what this host supports, and what is missing."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from localgce.machines.qemu import kvm, public_image
from localgce.machines.qemu import network as qemu_network
from localgce.machines.qemu.command import QEMU


@dataclass(frozen=True)
class Check:
    """One check; `fatal` when real machines need it (instant machines need nothing)."""

    name: str
    ok: bool
    detail: str
    hint: str = ""
    fatal: bool = True


QUICK_SINCE = 8  # major version of QEMU: 7.2 was slow and 10.0 was not; others were not measured
_PROGRAMS = (
    (QEMU, "qemu-system-x86"),
    ("qemu-img", "qemu-utils"),
    ("socat", "socat"),
    ("mmdebstrap", "mmdebstrap"),
    ("mke2fs", "e2fsprogs"),
)


def doctor(cache: Path) -> int:
    """Print the checks; 0 when this host can run real machines, else 1."""
    checks = examine(cache)
    print(report(checks), flush=True)
    return int(any(check.fatal and not check.ok for check in checks))


def examine(cache: Path) -> list[Check]:
    """All checks; of QEMU they start the KVM probe, and ask for its version."""
    found = [_program(name, package) for name, package in _PROGRAMS]
    return [
        *found,
        _user(cache),
        _memory(),
        _space(cache),
        _image(cache),
        _acceleration(cache),
        _multicast(cache),
        _low_ports(),
    ]


def report(checks: list[Check]) -> str:
    """The checks as text, one per line, with hints below."""
    lines = []
    for check in checks:
        mark = "ok  " if check.ok else "FAIL" if check.fatal else "note"
        lines.append(f"{mark}  {check.name:<14} {check.detail}")
        if not check.ok and check.hint:
            lines.append(f"      {'':<14} {check.hint}")
    missing = [check.name for check in checks if check.fatal and not check.ok]
    summary = "This host can run real machines: --machines qemu."
    if missing:
        summary = f"This host can run instant machines only: {', '.join(missing)}."
    return "\n".join([*lines, "", summary])


def _program(name: str, package: str) -> Check:
    # a normal user's PATH often lacks the folders that mke2fs lies in
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    hint = f"apt-get install {package}"
    return Check(name, path is not None, path or "is not installed", hint)


def _user(cache: Path) -> Check:
    """Whether mmdebstrap can create root's files; needed only until the image is built."""
    if os.geteuid() == 0:
        return Check("build as", True, "root")
    hint = "apt-get install uidmap; a line for this user in /etc/subuid and /etc/subgid"
    not_needed = public_image.identity(cache).ready
    if shutil.which("newuidmap") is None:
        return Check("build as", False, "newuidmap is not installed", hint, fatal=not not_needed)
    command = ["unshare", "--user", "--map-auto", "--map-root-user", "true"]
    tried = subprocess.run(command, capture_output=True, text=True, check=False)
    detail = "a normal user, in a user namespace"
    if tried.returncode:
        detail = tried.stderr.strip().splitlines()[-1] if tried.stderr else "no user namespace"
    return Check("build as", tried.returncode == 0, detail, hint, fatal=not not_needed)


def _memory() -> Check:
    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for line in _lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            available = int(line.split()[1]) << 10
    detail = f"{available / (1 << 30):.1f} GiB free, {os.cpu_count()} processors"
    return Check(
        "memory", available > 3 << 30, detail, "an e2-small machine has 2 GiB", fatal=False
    )


def _space(cache: Path) -> Check:
    place = next(path for path in (cache, *cache.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free
    detail = f"{free >> 30} GiB free in {place}"
    return Check("disk", free > 4 << 30, detail, "the image is built with 2 GiB", fatal=False)


def _image(cache: Path) -> Check:
    image = public_image.identity(cache)
    if image.ready:
        return Check("public image", True, f"{image.name} ({image.layer_path})")
    hint = "it is built on first use, or now with `localgce image debian-12`"
    return Check("public image", False, f"{image.name} is not built yet", hint, fatal=False)


def _acceleration(cache: Path) -> Check:
    if shutil.which(QEMU) is None:
        return Check("acceleration", False, "not known without QEMU", fatal=False)
    found = asyncio.run(kvm.choose_accelerator(cache))
    if found.accelerator == "kvm":
        return Check("acceleration", True, found.reason)
    told = subprocess.run([QEMU, "--version"], capture_output=True, text=True, check=False)
    hint = "machines run without KVM (TCG): a boot takes about 15 s instead of 5 s"
    hint += slow_emulator(told.stdout)
    return Check("acceleration", False, found.reason, hint, fatal=False)


def slow_emulator(version: str) -> str:
    """More of a hint where QEMU, by what it says of its version, emulates slowly; else empty."""
    found = re.match(r"QEMU emulator version (\d+)\.(\d+)", version)
    if found is None or int(found[1]) >= QUICK_SINCE:
        return ""
    return (
        f"; QEMU {found[1]}.{found[2]} starts their processes several times as slowly as "
        "10.0, which Debian 12 has in its backports"
    )


def _multicast(cache: Path) -> Check:
    there = qemu_network.lan(cache) is not None
    detail = "machines reach each other" if there else "no multicast on the loopback interface"
    hint = "machines run, but cannot reach each other: ip link set lo multicast on"
    return Check("network", there, detail, hint, fatal=False)


def _low_ports() -> Check:
    with socket.socket() as probe:
        try:
            probe.bind(("127.99.99.99", 80))
        except OSError as error:
            hint = "ports below 1024 of machines are not reachable through natIP; others are"
            return Check("low ports", False, str(error), hint, fatal=False)
    return Check("low ports", True, "may be opened on loopback")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
