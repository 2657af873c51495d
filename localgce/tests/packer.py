"""Packer's plugin for Compute Engine, from Go's module proxy: its builder, without its core."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from localgce.core.cache import default_cache

if TYPE_CHECKING:
    from collections.abc import Mapping

SOURCE = Path(__file__).parent / "packer_judge"
FILES = ("go.mod", "go.sum", "main.go")
BUILD_SECONDS = 1500
RUN_SECONDS = 600


def packer(config: Mapping[str, Any], folder: Path) -> str:
    """Run the builder with the configuration of its source; the image's name.

    Skips the test where there is no Go, or no module proxy to have the plugin from.
    """
    done = subprocess.run(
        [program(folder)],
        input=json.dumps(config),
        cwd=folder,
        env=os.environ | {"PACKER_CONFIG_DIR": str(folder), "CHECKPOINT_DISABLE": "1"},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def program(folder: Path) -> Path:
    """The builder's program, kept from an earlier test of the same sources."""
    digest = hashlib.sha256(b"".join((SOURCE / name).read_bytes() for name in FILES)).hexdigest()
    kept = default_cache() / "tests" / f"packer-{digest[:16]}"
    if kept.exists():
        return kept
    if shutil.which("go") is None:
        pytest.skip("Go is not installed: Packer's plugin is built with it")
    place = folder / "packer_judge"
    shutil.copytree(SOURCE, place)
    fetched = go(place, "mod", "download")
    if fetched.returncode != 0:
        pytest.skip(f"Packer's plugin cannot be had: {fetched.stderr.strip().splitlines()[-1]}")
    built = go(place, "build", "-mod=readonly", "-o", str(folder / "packer"), ".")
    assert built.returncode == 0, built.stderr
    kept.parent.mkdir(parents=True, exist_ok=True)
    aside = kept.with_suffix(f".{os.getpid()}")
    shutil.copy2(folder / "packer", aside)
    aside.rename(kept)
    return kept


def go(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["go", *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
    )
