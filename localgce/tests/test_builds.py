"""The cache of public images: unused builds are deleted, killed builders leave nothing."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from unittest.mock import AsyncMock

import pytest

from localgce.machines.qemu import builds

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path


def build(folder: Path, name: str) -> Path:
    """A finished build."""
    layer = folder / f"{name}.qcow2"
    for suffix in (".qcow2", ".vmlinuz", ".initrd"):
        layer.with_suffix(suffix).write_text(name)
    layer.with_suffix(".users").mkdir()
    return layer


def stand_on(state: Path, layer: Path) -> Path:
    """A state folder that has used the build; the link to it."""
    link = state / "disks/layers" / f"{layer.stem.rsplit('-', 1)[1]}.qcow2"
    link.parent.mkdir(parents=True)
    builds.note_user(layer, state)
    builds.note_user(layer, state)
    link.symlink_to(layer)
    return link


def test_unused_builds_are_deleted(tmp_path: Path) -> None:
    cache = tmp_path / "cache with spaces"
    cache.mkdir()
    names = ("debian-1", "debian-2", "debian-3", "debian-4")
    unused, used, unaccounted, newest = (build(cache, name) for name in names)
    unaccounted.with_suffix(".users").rmdir()
    link = stand_on(tmp_path / "state", used)
    assert builds.prune(newest) == ["debian-1"]
    assert sorted(path.name for path in cache.glob("debian-1*")) == []
    assert used.exists()
    assert unaccounted.exists()
    assert newest.exists()
    link.unlink()
    assert builds.prune(newest) == ["debian-2"]
    shutil.rmtree(tmp_path / "state")
    assert builds.prune(newest) == []
    assert not unused.exists()


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go, for this test alone."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


@asynccontextmanager
async def begun_build(
    folder: Path, temporary: Path
) -> AsyncGenerator[tuple[Path, Path, dict[str, str]], None]:
    """A build's scratch folder, its temporary one, and the environment of its processes."""
    scratch = folder / "building-x"
    scratch.mkdir(parents=True)
    async with builds.temporary_folder(scratch) as place:
        (place / "root").mkdir()
        assert place.parent == temporary
        yield scratch, place, {**os.environ, "TMPDIR": str(place)}


async def test_the_files_of_a_killed_builder_are_deleted(tmp_path: Path, temporary: Path) -> None:
    folder = tmp_path / "public"
    async with begun_build(folder, temporary) as (scratch, place, environment):
        orphan = await asyncio.create_subprocess_exec("sleep", "600", env=environment)
        with (folder / "build.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            await builds.sweep(folder)
            assert place.exists()
            assert scratch.exists()
        await builds.sweep(folder)
        assert await asyncio.wait_for(orphan.wait(), 120) == -signal.SIGKILL
        assert not place.exists()
        assert not scratch.exists()


async def test_who_is_started_while_others_are_killed_is_killed_too(
    tmp_path: Path, temporary: Path
) -> None:
    folder = tmp_path / "public"
    async with begun_build(folder, temporary) as (_, place, environment):
        heirs = "for _ in $(seq 300); do sleep 600 & done; wait"
        orphan = await asyncio.create_subprocess_exec("sh", "-c", heirs, env=environment)
        await builds.sweep(folder)
        await asyncio.wait_for(orphan.wait(), 120)
        assert builds._working_in(place) == []
        assert not place.exists()


async def test_what_could_not_be_deleted_is_left_for_a_later_sweep(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "public"
    async with begun_build(folder, temporary) as (scratch, place, _):
        with monkeypatch.context() as patch:
            patch.setattr(builds, "clear", AsyncMock(return_value=False))
            await builds.sweep(folder)
        assert place.exists()
        await builds.sweep(folder)
        assert not place.exists()
        assert not scratch.exists()


async def test_a_foreign_folder_is_never_deleted(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    scratch = tmp_path / "public/building-x"
    scratch.mkdir(parents=True)
    (scratch / builds.ELSEWHERE).write_text(str(precious))
    await builds.sweep(tmp_path / "public")
    assert precious.exists()
    assert not scratch.exists()


@pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="mmdebstrap is missing")
def test_a_builder_killed_during_a_build_leaves_nothing(tmp_path: Path, temporary: Path) -> None:
    cache = tmp_path / "cache"
    command = [sys.executable, "-m", "localgce", "image", "--cache", str(cache)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as builder:
        assert builder.stdout is not None
        working = (line for line in builder.stdout if list(temporary.glob("localgce-build-*/*")))
        assert next(working), "the builder has ended"
        builder.kill()
    (place,) = temporary.glob("localgce-build-*")
    asyncio.run(builds.sweep(cache / "public/debian-12"))
    assert list(temporary.iterdir()) == []
    assert builds._working_in(place) == []
    assert list((cache / "public/debian-12").glob("building-*")) == []
    assert list((cache / "public/debian-12").glob("*.qcow2")) == []
