"""Builds the images of `debian-cloud` on this host, each once, with mmdebstrap.

The cache has `public/FAMILY/identity.json` and `public/FAMILY/<name>-<id>.qcow2`. The disk is
renamed to that name once it is complete, so that a killed build leaves no image behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import secrets
import shlex
import shutil
import tempfile
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from localgce.core.errors import MachineError
from localgce.core.subprocesses import run
from localgce.guest import bootable
from localgce.machines.contract import PublicImage
from localgce.machines.qemu import builds
from localgce.machines.qemu.debian import (
    DEBIAN_12,
    GUEST,
    PACKAGES,
    RELEASES,
    SIZE_GB,
    Release,
    ingredients,
    overlay,
)

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
HOST_CERTIFICATES = (
    Path("/etc/ssl/certs/ca-certificates.crt"),
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
)

LINES = "build.log"  # what the build at hand has reported
LOOK_SECONDS = 0.5

Progress = Callable[[str], None]
Beside = Callable[[], Awaitable[object]]


def identity(cache: Path, release: Release = DEBIAN_12) -> PublicImage:
    """A public image's name and ids, generated on first use and stored in the cache.

    They are generated again when the definition of the image has changed with localgce itself; the
    earlier disk stays for the state folders that use it.
    """
    folder = cache / "public" / release.family
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "identity.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = _read(folder / "identity.json")
        if kept.get("ingredients") != ingredients(release):
            kept = _new_identity(release)
            _write(folder / "identity.json", kept)
    layer = folder / f"{kept['name']}-{kept['id']}.qcow2"
    return PublicImage(
        name=kept["name"],
        id=kept["id"],
        family=release.family,
        created=kept["created"],
        layer_path=layer,
        size_gb=SIZE_GB,
        ready=layer.exists(),
    )


async def ensure(
    cache: Path, progress: Progress, release: Release = DEBIAN_12, beside: Beside | None = None
) -> PublicImage:
    """Build the image unless the cache has it; `progress` gets a line for each step.

    `beside` is called once the image's kernel is there, and runs while the disk is made.

    Raises MachineError, in one line, when it cannot be built here.
    """
    image = identity(cache, release)
    if image.ready:
        return image
    async with _only_builder(image.layer_path.parent, progress) as recorded:
        image = identity(cache, release)
        if not image.ready:
            await _build(image, release, recorded, beside)
    return identity(cache, release)


async def sweep(cache: Path) -> None:
    """Delete what killed builders have left, unless a builder is running."""
    for release in _cached(cache):
        await builds.sweep(cache / "public" / release.family)


def prune(cache: Path) -> None:
    """Delete earlier builds that no state folder uses."""
    for release in _cached(cache):
        builds.prune(identity(cache, release).layer_path)


def _cached(cache: Path) -> list[Release]:
    """The releases that somebody has asked this cache for."""
    return [each for each in RELEASES if (cache / "public" / each.family).exists()]


def kernel(image: PublicImage) -> tuple[Path, Path]:
    """The image's kernel and initramfs, kept beside its disk for probing KVM."""
    return image.layer_path.with_suffix(".vmlinuz"), image.layer_path.with_suffix(".initrd")


def any_kernel(cache: Path) -> Path | None:
    """The kernel of a public image that is built; None without one."""
    kernels = (kernel(identity(cache, release))[0] for release in _cached(cache))
    return next((path for path in kernels if path.exists()), None)


def _new_identity(release: Release) -> dict[str, str]:
    now = datetime.now(UTC)
    return {
        "name": f"{release.family}-{release.suite}-v{now:%Y%m%d}",
        "id": str(secrets.randbits(62) | 1 << 62),
        "created": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "ingredients": ingredients(release),
    }


def _read(path: Path) -> dict[str, str]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        return {}


def _write(path: Path, content: dict[str, str]) -> None:
    aside = path.with_suffix(".new")
    with aside.open("w") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


@contextlib.asynccontextmanager
async def _only_builder(folder: Path, progress: Progress) -> AsyncGenerator[Progress, None]:
    """Hold the build lock, and wait for it while another process builds.

    Yields a `progress` whose lines those who wait for this process report, too.
    """
    with contextlib.ExitStack() as stack:
        while not _locked(stack, folder):
            progress("another process builds the image; waiting for it")
            await _wait_for_builder(folder, progress)
        lines = stack.enter_context((folder / LINES).open("w", buffering=1))

        def recorded(line: str) -> None:
            progress(line)
            lines.write(f"{line}\n")

        yield recorded


async def _wait_for_builder(folder: Path, progress: Progress) -> None:
    """Until the other process has released the lock; its lines so far come first."""
    waiting = asyncio.create_task(run("flock", folder / "build.lock", "true"))
    try:
        with (folder / LINES).open("a+") as lines:
            lines.seek(0)
            while not waiting.done():
                await asyncio.wait([waiting], timeout=LOOK_SECONDS)
                for line in lines:
                    progress(line.rstrip())
        await waiting
    finally:
        waiting.cancel()
        await asyncio.wait([waiting])


def _locked(stack: contextlib.ExitStack, folder: Path) -> bool:
    try:
        stack.enter_context(builds.build_lock(folder))
    except BlockingIOError:
        return False
    return True


async def _build(
    image: PublicImage, release: Release, progress: Progress, beside: Beside | None
) -> None:
    folder = image.layer_path.parent
    await builds.sweep_locked(folder)
    with tempfile.TemporaryDirectory(prefix="building-", dir=folder) as scratch_name:
        scratch = Path(scratch_name)
        file_system = uuid.uuid4()
        progress(f"building {image.name} with mmdebstrap (a minute or two, once)")
        async with builds.temporary_folder(scratch) as place:
            root = await _bootstrap(release, scratch, file_system, place, progress)
            progress("making the disk")
            keeping = asyncio.create_task(_keep_kernel(image, root, beside))
            try:
                await _make_disk(scratch, root, file_system, progress)
                parts = await keeping
            finally:
                keeping.cancel()
                await asyncio.wait([keeping])
            progress("writing the boot loader")
            disk_id = uuid.UUID(int=int(image.id))
            bootable.write_boot_loader(
                scratch / "disk.raw", parts["boot.img"], parts["core.img"], disk_id
            )
            await asyncio.gather(_convert(scratch), builds.clear(place))
        await asyncio.to_thread(_publish, scratch / "disk.qcow2", image.layer_path)
    progress(f"{image.name} is ready ({image.layer_path.stat().st_size >> 20} MiB)")
    for name in builds.prune(image.layer_path):
        progress(f"the earlier build {name} is deleted: no state folder uses it")


async def _convert(scratch: Path) -> None:
    await run("qemu-img", "convert", "-O", "qcow2", "-o", "lazy_refcounts=on",
              scratch / "disk.raw", scratch / "disk.qcow2")  # fmt: skip


def _publish(disk: Path, place: Path) -> None:
    """Sync the complete disk before it gets its name; it is read-only from then on."""
    place.with_suffix(".users").mkdir(exist_ok=True)
    disk.chmod(0o444)
    with disk.open("rb") as file:
        os.fsync(file.fileno())
    disk.replace(place)


async def _bootstrap(
    release: Release, scratch: Path, file_system: uuid.UUID, place: Path, progress: Progress
) -> Path:
    """Unpack and install the root file system below `place`; returns its folder."""
    root = place / "root"
    (scratch / "overlay.tar").write_bytes(overlay(release, _host_certificates()))
    await run(
        "mmdebstrap",
        "--mode=auto",
        "--variant=minbase",
        "--format=directory",
        "--architectures=amd64",
        f"--include={','.join(PACKAGES)}",
        *_keyring(),
        # the lists stay: `apt-get update` in a guest then fetches only what has changed since
        "--skip=cleanup/apt/lists",
        f"--customize-hook=tar-in {shlex.quote(str(scratch / 'overlay.tar'))} /",
        f'--customize-hook=chroot "$1" sh /tmp/localgce/finish.sh {file_system}',
        release.suite,
        root,
        *release.sources,
        line=lambda text: progress(text.removeprefix("I: ")) if text.startswith("I: ") else None,
        hint=_why_not_here(),
        # the kernel's hook makes no initramfs before finish.sh, which has its settings
        environment={"TMPDIR": str(place), "INITRD": "No"},
    )
    return root


def _host_certificates() -> bytes:
    bundle = next((path for path in HOST_CERTIFICATES if path.exists()), None)
    return bundle.read_bytes() if bundle else b""


def _keyring() -> list[str]:
    return [f"--keyring={KEYRING}"] if KEYRING.exists() else []


def _why_not_here() -> str:
    if shutil.which("mmdebstrap") is None:
        return "the package mmdebstrap is missing"
    if os.geteuid() != 0 and shutil.which("newuidmap") is None:
        return "as a normal user mmdebstrap needs the package uidmap and a line in /etc/subuid"
    return ""


async def _make_disk(scratch: Path, root: Path, file_system: uuid.UUID, progress: Progress) -> None:
    """Create `disk.raw` with the root file system in place; needs neither mount nor root.

    A normal user's files belong to users of mmdebstrap's user namespace, where they are read. That
    namespace cannot write to this folder, so the disk is the standard output (which mke2fs opens
    again, hence 0666; nobody else can enter the folder).
    """
    disk = scratch / "disk.raw"
    with disk.open("wb") as file:
        file.truncate(SIZE_GB << 30)
        disk.chmod(0o666)
        await run(
            *builds.inside(),
            "sh",
            "-c",
            (GUEST / "file_system.sh").read_text(),
            "make-file-system",
            root,
            str(file_system),
            str(bootable.ROOT_START * bootable.SECTOR),
            str(bootable.root_blocks(SIZE_GB << 30)),
            stdout=file.fileno(),
            line=progress,
        )
        disk.chmod(0o600)


async def _keep_kernel(image: PublicImage, root: Path, beside: Beside | None) -> dict[str, bytes]:
    """Put kernel and initramfs beside the disk's place; returns what the disk boots with."""
    parts = await asyncio.to_thread(_boot_parts, root)
    for path, part in zip(kernel(image), ("vmlinuz", "initrd"), strict=True):
        path.write_bytes(parts[part])
    if beside is not None:
        await beside()
    return parts


def _boot_parts(root: Path) -> dict[str, bytes]:
    """GRUB's two images, the kernel and the initramfs out of the root file system."""
    wanted = {
        "boot.img": "boot/grub/i386-pc/boot.img",
        "core.img": "boot/grub/i386-pc/core.img",
        "vmlinuz": "boot/vmlinuz-*",
        "initrd": "boot/initrd.img-*",
    }
    parts = {name: path for name, where in wanted.items() for path in root.glob(where)}
    missing = wanted.keys() - parts.keys()
    if missing:
        raise MachineError(f"the new root file system lacks {', '.join(sorted(missing))}")
    return {name: path.read_bytes() for name, path in parts.items()}
