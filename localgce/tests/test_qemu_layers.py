"""Disks and layers in real qcow2 files, without machines."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from localgce.core.errors import MachineError
from localgce.machines.qemu import layers as layers_module
from localgce.machines.qemu import qcow2
from localgce.machines.qemu.layers import Layers

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("qemu-io") is None, reason="qemu-utils is missing")


@pytest.fixture
async def layers(tmp_path: Path) -> Layers:
    made = Layers(tmp_path / "disks")
    await made.open()
    return made


def write(path: Path, pattern: int, offset: str = "0") -> None:
    """Fill 64 KiB of the disk."""
    command = f"write -P {pattern} {offset} 64k"
    subprocess.run(["qemu-io", "-c", command, str(path)], check=True, capture_output=True)


def holds(path: Path, pattern: int, offset: str = "0") -> bool:
    command = f"read -P {pattern} {offset} 64k"
    ran = subprocess.run(["qemu-io", "-r", "-c", command, str(path)], capture_output=True)
    return ran.returncode == 0 and b"verification failed" not in ran.stdout


def frozen(layers: Layers) -> set[str]:
    return {path.stem for path in (layers.path("x").parents[1] / "layers").glob("*.qcow2")}


async def test_a_blank_disk_is_created_once(layers: Layers) -> None:
    await layers.create_blank("d", 3)
    write(layers.path("d"), 7)
    await layers.create_blank("d", 3)
    assert qcow2.read(layers.path("d")).size == 3 << 30
    assert holds(layers.path("d"), 7)


async def test_freeze_keeps_the_current_content_and_the_disk_continues(layers: Layers) -> None:
    await layers.create_blank("d", 1)
    write(layers.path("d"), 1)
    assert await layers.freeze("d", "l") > 0
    write(layers.path("d"), 2)
    await layers.create_from_layer("e", "l", 1)
    assert holds(layers.path("d"), 2)
    assert holds(layers.path("e"), 1)


async def test_a_repeated_freeze_changes_nothing(layers: Layers) -> None:
    await layers.create_blank("d", 1)
    write(layers.path("d"), 1)
    size = await layers.freeze("d", "l")
    write(layers.path("d"), 2)
    assert await layers.freeze("d", "l") == size
    await layers.create_from_layer("e", "l", 1)
    assert holds(layers.path("e"), 1)


async def test_an_interrupted_freeze_is_completed_at_the_next_start(
    layers: Layers, tmp_path: Path
) -> None:
    await layers.create_blank("d", 1)
    write(layers.path("d"), 1)
    os.link(layers.path("d"), tmp_path / "disks/layers/l.qcow2")
    again = Layers(tmp_path / "disks")
    await again.open()
    write(again.path("d"), 2)
    await again.create_from_layer("e", "l", 1)
    assert holds(again.path("e"), 1)
    assert holds(again.path("d"), 2)


async def test_a_disk_from_a_layer_can_grow(layers: Layers) -> None:
    await layers.create_blank("d", 2)
    await layers.freeze("d", "l")
    await layers.create_from_layer("e", "l", 5)
    await layers.create_from_layer("small", "l", 1)
    await layers.resize("d", 4)
    await layers.resize("d", 3)
    sizes = [qcow2.read(layers.path(disk)).size >> 30 for disk in ("e", "small", "d")]
    assert sizes == [5, 2, 4]


async def test_a_layer_is_deleted_only_when_nothing_needs_it(layers: Layers) -> None:
    await layers.create_blank("d", 1)
    await layers.freeze("d", "bottom")
    await layers.freeze("d", "top")
    await layers.delete_layer("bottom")
    assert frozen(layers) == {"bottom", "top"}
    await layers.delete_layer("top")
    assert frozen(layers) == {"bottom", "top"}
    await layers.delete_disk("d")
    assert frozen(layers) == set()


async def test_a_long_chain_is_flattened_down_to_the_public_image(
    layers: Layers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers_module, "MAX_DEPTH", 3)
    public = tmp_path / "cache/public.raw"
    public.parent.mkdir()
    public.write_bytes(b"\x09" * 65536 + bytes(1 << 20))
    await layers.import_layer("public", public)
    await layers.create_from_layer("d", "public", 1)
    for number in range(1, 8):
        write(layers.path("d"), number, f"{number}M")
        await layers.freeze("d", f"l{number}")
    assert len(layers._chain(layers.path("d"))) <= 5
    assert layers._chain(layers.path("d"))[-1].is_symlink()
    assert all(holds(layers.path("d"), number, f"{number}M") for number in range(1, 8))
    assert holds(layers.path("d"), 9)


async def test_the_file_of_an_imported_layer_is_never_changed(
    layers: Layers, tmp_path: Path
) -> None:
    public = tmp_path / "public.raw"
    public.write_bytes(b"\x09" * (1 << 20))
    await layers.import_layer("public", public)
    await layers.import_layer("public", public)
    await layers.create_from_layer("d", "public", 1)
    write(layers.path("d"), 3)
    await layers.delete_disk("d")
    await layers.delete_layer("public")
    assert public.read_bytes() == b"\x09" * (1 << 20)
    assert frozen(layers) == set()


async def test_a_copy_has_the_backing_file_of_the_disk(layers: Layers) -> None:
    await layers.create_blank("d", 1)
    write(layers.path("d"), 1)
    await layers.freeze("d", "l")
    write(layers.path("d"), 2, "1M")
    await layers.copy("d", "copy")
    write(layers.path("d"), 3, "1M")
    await layers.create_from_layer("e", "copy", 1)
    assert holds(layers.path("e"), 1)
    assert holds(layers.path("e"), 2, "1M")


async def test_the_folder_can_be_moved(layers: Layers, tmp_path: Path) -> None:
    await layers.create_blank("d", 1)
    write(layers.path("d"), 1)
    await layers.freeze("d", "l")
    (tmp_path / "disks").rename(tmp_path / "moved")
    assert holds(Layers(tmp_path / "moved").path("d"), 1)


async def test_missing_contents_are_named(layers: Layers) -> None:
    with pytest.raises(MachineError, match="layer gone is missing"):
        await layers.create_from_layer("d", "gone", 1)
    with pytest.raises(MachineError, match="disk gone is missing"):
        await layers.freeze("gone", "l")


@pytest.fixture(params=["raw", "qcow2"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A disk of 2 GiB that somebody else has made."""
    made = tmp_path / f"disk.{request.param}"
    for command in (
        ["qemu-img", "create", "-q", "-f", request.param, str(made), "2G"],
        ["qemu-io", "-f", request.param, "-c", "write -P 7 1G 64k", str(made)],
    ):
        subprocess.run(command, check=True, capture_output=True)
    return made


async def test_a_file_is_copied_to_a_layer(layers: Layers, file: Path) -> None:
    assert qcow2.check_importable(file).size == 2 << 30
    size = await layers.import_copy("l", file)
    assert 0 < size < 10 << 20
    assert await layers.import_copy("l", file.with_name("gone")) == size  # done already
    await layers.create_from_layer("d", "l", 3)
    assert holds(layers.path("d"), 7, "1G")
    assert qcow2.read(layers.path("d")).size == 3 << 30
