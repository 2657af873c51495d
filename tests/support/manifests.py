"""What an image holds, for tests of whatever reads it."""

from __future__ import annotations

import gzip
from base64 import b64encode
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bakehouse.history.manifest import (
    HEAD,
    TAB,
    VERSION,
    FileFacts,
    Manifest,
    Mirror,
    Package,
    PassedOver,
    ReleaseFile,
    Source,
)
from bakehouse.history.sbom import SbomImage
from bakehouse.images.formats import FormatRange

if TYPE_CHECKING:
    from collections.abc import Iterator

BAKED = SbomImage(
    image="web-20261123t0300-aaaaaaa-1234",
    project="bakehouse-local",
    recipe="web",
    family="web",
    git_sha="a" * 40,
    git_ref="HEAD",
    content_key="c" * 40,
    base_image="debian-12-bookworm-v20261110",
    base_image_id="77",
    created=datetime(2026, 11, 23, 3, 0, 0, 123, tzinfo=UTC),
    dag_id="bake__web",
    run_id="manual__1",
)
MANIFEST = Manifest(
    packages=(
        Package("g++", "4:12.2.0-3", "amd64"),
        Package("libc6", "2.36-9+deb12u10", "amd64"),
        Package("libc6", "2.36-9+deb12u10", "i386"),
        Package("nginx-common", "1.22.1-9+deb12u3", "all"),
    ),
    sources=(
        Source("http://deb.debian.org/debian", "bookworm", "main"),
        Source("mirror+file:/etc/apt/mirrors/security.list", "bookworm-security", "main"),
    ),
    passed_over=(PassedOver("libc6", "2.36-9"),),
    files=FileFacts(
        os=("debian", "12"),
        kernel="6.1.0-41-cloud-amd64",
        used_bytes=1_200_000_000,
        size_bytes=10_000_000_000,
        enabled=("ssh.service",),
        started=("nginx",),
        formats=(FormatRange("metadata.version", 7, 33),),
    ),
    releases=(ReleaseFile("deb.debian.org_debian_dists_bookworm_InRelease", "7" * 64),),
    mirrors=(
        Mirror(
            "mirror+file:/etc/apt/mirrors/security.list",
            "https://deb.debian.org/debian-security",
            "priority:1",
        ),
    ),
)


def encode(manifest: Manifest) -> str:
    """As a bake script reports it: what `manifest.decode` reads."""
    lines = "".join(f"{TAB.join(line)}\n" for line in _lines(manifest))
    return b64encode(gzip.compress(lines.encode(), mtime=0)).decode("ascii")


def _lines(manifest: Manifest) -> Iterator[tuple[str, ...]]:
    files = manifest.files
    yield HEAD, VERSION
    yield "os", *files.os
    yield from (("package", *package) for package in sorted(manifest.packages))
    yield from (("passed_over", *version) for version in sorted(manifest.passed_over))
    yield from (("source", *source) for source in sorted(manifest.sources or ()))
    yield from (("mirror", *mirror) for mirror in manifest.mirrors)
    yield from (("release", *release) for release in manifest.releases)
    yield from (("enabled", unit) for unit in sorted(files.enabled))
    yield from (("started", unit) for unit in sorted(files.started))
    yield from (("format", name, str(low), str(high)) for name, low, high in files.formats)
    if manifest.booted is not None:
        yield "booted", f"{manifest.booted:.2f}"
    yield from (("step", step.name, f"{step.at:.2f}") for step in manifest.steps)
    known = {"kernel": files.kernel, "used": files.used_bytes, "size": files.size_bytes}
    yield from ((kind, str(value)) for kind, value in known.items() if value is not None)
