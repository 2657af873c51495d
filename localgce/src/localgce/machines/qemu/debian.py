"""What the public images of Debian consist of: release, packages, and the files below `guest/`."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

GUEST = resources.files("localgce") / "guest"
SIZE_GB = 10  # as Google's image; the root file system grows at boot where the disk is larger
PACKAGES = (
    *("linux-image-cloud-amd64", "initramfs-tools", "zstd", "grub-pc-bin", "grub2-common"),
    *("systemd-sysv", "udev", "dbus", "kmod", "fdisk", "e2fsprogs", "iproute2", "netbase"),
    # what Google's image also has, and startup scripts use
    *("google-guest-agent", "python3", "curl", "wget", "ca-certificates", "gpg"),
    *("adduser", "procps", "sudo", "less", "openssh-server"),
    "util-linux-extra",  # hwclock: the agent sets the clock with it after a suspension
)
_SOURCES = "etc/apt/sources.list.d/debian.sources"  # names the suite of Debian 12


@dataclass(frozen=True)
class Release:
    """A release of Debian, by the family of its image and the name of its suite."""

    family: str
    suite: str

    @property
    def sources(self) -> tuple[str, ...]:
        """Where its packages come from while the image is built, as lines of sources.list."""
        archive = "http://deb.debian.org"
        return (
            f"deb {archive}/debian {self.suite} main",
            f"deb {archive}/debian {self.suite}-updates main",
            f"deb {archive}/debian-security {self.suite}-security main",
        )


DEBIAN_12 = Release("debian-12", "bookworm")
DEBIAN_13 = Release("debian-13", "trixie")
RELEASES = (DEBIAN_12, DEBIAN_13)


def ingredients(release: Release) -> str:
    """A hash over all that defines the image's contents, except Debian's archive."""
    digest = hashlib.sha256(repr((SIZE_GB, PACKAGES, release.sources)).encode())
    digest.update(overlay(release, b"") + (GUEST / "file_system.sh").read_bytes())
    return digest.hexdigest()


def overlay(release: Release, host_certificates: bytes) -> bytes:
    """A reproducible tar of localgce's files for the image."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in sorted(_files(GUEST / "root", "")):
            if name == _SOURCES:
                content = content.replace(DEBIAN_12.suite.encode(), release.suite.encode())
            executable = content.startswith(b"#!")
            _add(tar, name, content, 0o755 if executable else 0o644)
        for script in ("finish.sh", "extra_certificates.py"):
            _add(tar, f"tmp/localgce/{script}", (GUEST / script).read_bytes(), 0o644)
        _add(tar, "tmp/localgce/host-certificates.crt", host_certificates, 0o644)
    return buffer.getvalue()


def _files(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _files(entry, f"{prefix}{entry.name}/")
        else:
            found.append((f"{prefix}{entry.name}", entry.read_bytes()))
    return found


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    tar.addfile(member, io.BytesIO(content))
