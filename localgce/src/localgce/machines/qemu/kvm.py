"""Whether KVM runs a stock guest here; only a boot can tell.

/dev/kvm may open and still not do: QEMU refuses the processor, or the guest ends in "KVM internal
error" with QEMU still there. So the public image's kernel is booted without a root file system: a
processor that works gets as far as the kernel's panic about that, which resets the machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from localgce.machines.qemu import public_image
from localgce.machines.qemu.command import QEMU

DEADLINE = 20.0
_REACHED = b"Unable to mount root fs"


@dataclass(frozen=True)
class Verdict:
    """`accelerator` is `kvm` or `tcg`; `reason` says why, in one line."""

    accelerator: str
    reason: str


async def verdict(cache: Path) -> Verdict:
    """What to run machines with here; probed once for each kernel of the host."""
    wanted = os.environ.get("LOCALGCE_ACCEL", "")
    if wanted in {"kvm", "tcg"}:
        return Verdict(wanted, f"LOCALGCE_ACCEL={wanted}")
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        there = Path("/dev/kvm").exists()
        return Verdict(
            "tcg", f"/dev/kvm {'may not be opened by this user' if there else 'is not there'}"
        )
    kernel, _ = public_image.kernel(public_image.identity(cache))
    if not kernel.exists():
        return Verdict("tcg", "KVM is probed when the public image is there")
    return await _remembered(cache / "kvm.json", kernel)


async def _remembered(file: Path, kernel: Path) -> Verdict:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(file.read_text())
        if kept["host"] == _host():
            return Verdict(**kept["verdict"])
    found = await probe(kernel)
    _remember(file, found)
    return found


def distrust(cache: Path) -> None:
    """A machine has ended in KVM's own error after all: use TCG from now on."""
    _remember(cache / "kvm.json", Verdict("tcg", "a machine with kvm ended in an internal error"))


def _remember(file: Path, found: Verdict) -> None:
    aside = file.with_suffix(f".{os.getpid()}.new")
    aside.write_text(json.dumps({"host": _host(), "verdict": asdict(found)}))
    aside.replace(file)


def _host() -> str:
    """What the verdict holds for: this kernel, until the computer starts again."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    started = boot.read_text().strip() if boot.exists() else ""
    return f"{platform.release()} {platform.version()} {started}"


async def probe(kernel: Path, accelerator: str = "kvm") -> Verdict:
    """Boot the kernel to the point where it misses its root file system."""
    with tempfile.TemporaryDirectory(prefix="localgce-probe-") as folder:
        serial = Path(folder) / "serial"
        process = await asyncio.create_subprocess_exec(
            *_command(kernel, serial, accelerator),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            _, said = await asyncio.wait_for(process.communicate(), DEADLINE)
        except TimeoutError:
            return Verdict(
                "tcg", f"a probe boot with {accelerator} did not end in {DEADLINE:.0f} s"
            )
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if serial.exists() and _REACHED in serial.read_bytes():
            return Verdict(accelerator, f"a probe boot with {accelerator} succeeded")
        lines = said.decode(errors="replace").strip().splitlines() or ["no output"]
        return Verdict("tcg", f"a probe boot with {accelerator} failed: {lines[0]}")


def _command(kernel: Path, serial: Path, accelerator: str) -> list[str]:
    cpu = "host" if accelerator == "kvm" else "qemu64"
    return [
        *(QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-machine", "q35", "-accel", accelerator, "-cpu", cpu, "-smp", "2", "-m", "256"),
        *("-chardev", f"file,id=serial,path={serial}", "-device", "isa-serial,chardev=serial"),
        # a machine that KVM has given up on would otherwise stay
        *("-action", "panic=shutdown", "-kernel", str(kernel)),
        *("-append", "console=ttyS0 panic=-1"),
    ]
