"""Whether KVM can run a guest on this host, which only a boot can show.

/dev/kvm can be opened and still be unusable: QEMU rejects the CPU model, or the guest ends in "KVM
internal error" while QEMU stays. So the public image's kernel is booted without a root file system:
where KVM works, the kernel reaches its panic about that, which resets the machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from localgce.machines.qemu import public_image
from localgce.machines.qemu.command import QEMU

DEADLINE = 20.0  # seconds
SILENT = 4.0  # where KVM works, the next line of the kernel comes in less than one
_LOOK_EVERY = 0.25
_REACHED = b"Unable to mount root fs"


@dataclass(frozen=True)
class Accelerator:
    """`accelerator` is `kvm` or `tcg`; `reason` explains it in one line."""

    accelerator: str
    reason: str


async def choose_accelerator(cache: Path) -> Accelerator:
    """The accelerator for machines of this host; probed once per boot of the host."""
    wanted = os.environ.get("LOCALGCE_ACCEL", "")
    if wanted in {"kvm", "tcg"}:
        return Accelerator(wanted, f"LOCALGCE_ACCEL={wanted}")
    unusable = _why_unusable()
    if unusable:
        return Accelerator("tcg", unusable)
    kernel = public_image.any_kernel(cache)
    if kernel is None:
        return Accelerator("tcg", "KVM is probed when the public image is there")
    return await _remembered(cache / "kvm.json", kernel)


def _why_unusable() -> str:
    """Why /dev/kvm cannot be opened; empty when it can."""
    if os.access("/dev/kvm", os.R_OK | os.W_OK):
        return ""
    there = Path("/dev/kvm").exists()
    return f"/dev/kvm {'may not be opened by this user' if there else 'is not there'}"


async def _remembered(file: Path, kernel: Path) -> Accelerator:
    kept = _recall(file)
    if kept is not None:
        return kept
    found = await probe(kernel)
    _remember(file, found)
    return found


def _recall(file: Path) -> Accelerator | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(file.read_text())
        if kept["host"] == _host():
            return Accelerator(**kept["verdict"])
    return None


def disable_kvm(cache: Path) -> None:
    """Use TCG from now on, because a machine has ended in an error of KVM."""
    _remember(
        cache / "kvm.json", Accelerator("tcg", "a machine with kvm ended in an internal error")
    )


def _remember(file: Path, found: Accelerator) -> None:
    aside = file.with_suffix(f".{os.getpid()}.new")
    aside.write_text(json.dumps({"host": _host(), "verdict": asdict(found)}))
    aside.replace(file)


def _host() -> str:
    """What a result is valid for: this kernel, until the host boots again."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    started = boot.read_text().strip() if boot.exists() else ""
    return f"{platform.release()} {platform.version()} {started}"


async def probe(kernel: Path, accelerator: str = "kvm") -> Accelerator:
    """Boot the kernel until it does not find its root file system."""
    with tempfile.TemporaryDirectory(prefix="localgce-probe-") as folder:
        serial = Path(folder) / "serial"
        process = await asyncio.create_subprocess_exec(
            *_command(kernel, serial, accelerator),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        talk = asyncio.create_task(process.communicate())
        try:
            hung = await _hung(talk, serial)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            _, errors = await talk
        if hung:
            return Accelerator("tcg", f"a probe boot with {accelerator} {hung}")
        if _REACHED in _said(serial):
            return Accelerator(accelerator, f"a probe boot with {accelerator} succeeded")
        lines = errors.decode(errors="replace").strip().splitlines() or ["no output"]
        return Accelerator("tcg", f"a probe boot with {accelerator} failed: {lines[0]}")


async def _hung(talk: asyncio.Task[tuple[bytes, bytes]], serial: Path) -> str:
    """Wait for the end of a boot; why it was not waited for any longer, empty if it has ended."""
    began = spoke = time.monotonic()
    said = b""
    while not talk.done():
        now, before, said = time.monotonic(), said, _said(serial)
        if said != before:
            spoke = now
        if now - spoke > SILENT:
            return f"hung: no line of the kernel for {SILENT:.0f} s"
        if now - began > DEADLINE:
            return f"did not end in {DEADLINE:.0f} s"
        await asyncio.wait({talk}, timeout=_LOOK_EVERY)
    return ""


def _said(serial: Path) -> bytes:
    """What the kernel has printed so far."""
    return serial.read_bytes() if serial.exists() else b""


def _command(kernel: Path, serial: Path, accelerator: str) -> list[str]:
    cpu = "host" if accelerator == "kvm" else "qemu64"
    return [
        *(QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-machine", "q35", "-accel", accelerator, "-cpu", cpu, "-smp", "2", "-m", "256"),
        *("-chardev", f"file,id=serial,path={serial}", "-device", "isa-serial,chardev=serial"),
        # after an internal error of KVM, QEMU would otherwise stay
        *("-action", "panic=shutdown", "-kernel", str(kernel)),
        *("-append", "earlyprintk=ttyS0 console=ttyS0 panic=-1"),
    ]
