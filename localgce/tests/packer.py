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

from . import go_programs

if TYPE_CHECKING:
    from collections.abc import Mapping

SOURCE = Path(__file__).parent / "packer_judge"
FILES = ("go.mod", "go.sum", "main.go")
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
    place = folder / "packer_judge"
    shutil.copytree(SOURCE, place)
    try:
        go_programs.download(place)
    except go_programs.CannotBeHad as error:
        pytest.skip(f"Packer's plugin: {error}")
    go_programs.build(place, ".", folder / "packer")
    go_programs.keep(folder / "packer", kept)
    return kept
