"""Disks and frozen layers as qcow2 files (`Disks`, for real machines).

Below `<state>/disks`, `volumes/ID.qcow2` is a disk and `layers/ID.qcow2` a layer: a read-only file,
or a symbolic link to one elsewhere (the public image). Both name their backing file as
`../layers/ID.qcow2`, so that a file can change from disk to layer and the folder can be moved.

The backing files are read from the qcow2 headers and recorded nowhere else, so that nothing can
disagree after a crash. Each step is a link or a rename, and each method completes what an earlier
call has begun.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from localgce.core.errors import MachineError
from localgce.core.subprocesses import run
from localgce.machines.qemu import qcow2

GIB = 1 << 30
MAX_DEPTH = 8
"""Layers below a disk; a longer chain is flattened down to the public image."""

LiveResize = Callable[[str, int], Awaitable[bool]]
"""Resizes a disk (id, bytes) of a running machine; False when no machine runs with it."""


class Layers:
    """The disks and layers below one folder; sizes in GiB, as in `Disks`."""

    def __init__(self, folder: Path, live_resize: LiveResize | None = None) -> None:
        """Use the folder; `live_resize` grows the disks of running machines."""
        self._disks = folder / "volumes"
        self._layers = folder / "layers"
        self._live_resize = live_resize
        self._changing = asyncio.Lock()

    def path(self, disk_id: str) -> Path:
        """The file of a disk."""
        return self._disks / f"{disk_id}.qcow2"

    async def open(self) -> None:
        """Complete or undo what a killed server has left."""
        async with self._changing:
            self._disks.mkdir(parents=True, exist_ok=True)
            self._layers.mkdir(parents=True, exist_ok=True)
            for left in [*self._disks.glob(".*.new"), *self._layers.glob(".*.new")]:
                left.unlink(missing_ok=True)
            for disk in self._disks.glob("*.qcow2"):
                if disk.stat().st_nlink > 1:
                    await self._leave(disk)
            self._collect()

    async def create_blank(self, disk_id: str, size_gb: int) -> None:
        """Create an empty disk."""
        async with self._changing:
            if not self.path(disk_id).exists():
                await self._new(self.path(disk_id), str(size_gb * GIB))

    async def create_from_layer(self, disk_id: str, layer_id: str, size_gb: int) -> None:
        """Create a disk on top of the layer; needs neither time nor space."""
        async with self._changing:
            if self.path(disk_id).exists():
                return
            size = max(size_gb * GIB, qcow2.read(self._layer(layer_id)).size)
            await self._new(self.path(disk_id), str(size), on=layer_id)

    async def freeze(self, disk_id: str, layer_id: str) -> int:
        """Make the disk's file the layer; the disk continues in a new file on top of it."""
        async with self._changing:
            disk, layer = self._disk(disk_id), self._layers / f"{layer_id}.qcow2"
            if not layer.exists():
                _sync(disk)
                if len(self._chain(disk)) > MAX_DEPTH:
                    await self._flatten(disk)
                os.link(disk, layer)
                _sync(self._layers)
            if disk.samefile(layer):
                await self._leave(disk, layer)
            return self._bytes(layer)

    async def copy(self, disk_id: str, layer_id: str) -> int:
        """Copy what the paused machine has written to the layer."""
        async with self._changing:
            disk, layer = self._disk(disk_id), self._layers / f"{layer_id}.qcow2"
            if not layer.exists():
                below = qcow2.read(disk).backing
                await self._copy(disk, layer, Path(below).stem if below else None)
            return self._bytes(layer)

    async def import_layer(self, layer_id: str, path: Path) -> None:
        """Link a file as a layer."""
        async with self._changing:
            self._link(layer_id, path)

    async def import_copy(self, layer_id: str, path: Path) -> int:
        """Convert a file to a layer; other disks can change meanwhile."""
        layer = self._layers / f"{layer_id}.qcow2"
        if not layer.exists():
            kind = "qcow2" if qcow2.is_qcow2(path) else "raw"
            aside = layer.with_name(f".{layer.stem}.new")
            await run("qemu-img", "convert", "-q", "-f", kind, "-O", "qcow2", path, aside)
            async with self._changing:
                self._name(aside, layer)
        return self._bytes(layer)

    async def resize(self, disk_id: str, size_gb: int) -> None:
        """Grow the disk, also of a running machine; never shrinks it."""
        async with self._changing:
            disk, size = self._disk(disk_id), size_gb * GIB
            if self._live_resize and await self._live_resize(disk_id, size):
                return
            if qcow2.read(disk).size >= size:
                return
            await run("qemu-img", "resize", "-q", "-f", "qcow2", disk, str(size))
            _sync(disk)

    async def delete_disk(self, disk_id: str) -> None:
        """Delete the disk, and deleted layers that only it needed."""
        async with self._changing:
            self.path(disk_id).unlink(missing_ok=True)
            self._collect()

    async def delete_layer(self, layer_id: str) -> None:
        """Delete the layer; its file is kept while a disk or layer needs it."""
        async with self._changing:
            layer = self._layers / f"{layer_id}.qcow2"
            if layer.is_symlink() or layer.exists():
                layer.with_suffix(".forgotten").touch()
            self._collect()

    def _link(self, layer_id: str, path: Path) -> None:
        path = path.resolve()
        self._layers.mkdir(parents=True, exist_ok=True)
        link = self._layers / f"{layer_id}.qcow2"
        if link.is_symlink() and link.readlink() == path:
            return
        aside = self._layers / f".{layer_id}.new"
        aside.unlink(missing_ok=True)
        aside.symlink_to(path)
        aside.replace(link)
        _sync(self._layers)

    def _disk(self, disk_id: str) -> Path:
        path = self.path(disk_id)
        if not path.exists():
            raise MachineError(f"the content of disk {disk_id} is missing ({path})")
        return path

    def _layer(self, layer_id: str) -> Path:
        path = self._layers / f"{layer_id}.qcow2"
        if not path.exists():
            where = path.readlink() if path.is_symlink() else path
            raise MachineError(f"the content of layer {layer_id} is missing ({where})")
        return path

    async def _new(self, path: Path, size: str, on: str | None = None) -> None:
        """Create a qcow2 file of `size` bytes on the layer `on`; it gets its name when complete."""
        aside = path.with_name(f".{path.stem}.new")
        below = ["-u", "-b", f"../layers/{on}.qcow2", "-F", self._format(on)] if on else []
        await run("qemu-img", "create", "-q", "-f", "qcow2", *below, aside, size)
        self._name(aside, path)

    def _format(self, layer_id: str) -> str:
        return "qcow2" if qcow2.is_qcow2(self._layer(layer_id)) else "raw"

    async def _leave(self, disk: Path, layer: Path | None = None) -> None:
        """Continue a disk whose file has become a layer in a new file on top of it."""
        layers = [layer] if layer else self._layers.glob("*.qcow2")
        for frozen in layers:
            if not frozen.is_symlink() and frozen.samefile(disk):
                size = qcow2.read(disk).size
                await self._new(disk, str(size), on=frozen.stem)
                return

    async def _flatten(self, disk: Path) -> None:
        """Merge the layers below the disk into it, down to the public image."""
        bottom, aside = self._chain(disk)[-1], disk.with_name(f".{disk.stem}.new")
        below = ["-b", ""]
        if bottom.is_symlink():
            below = ["-b", f"../layers/{bottom.name}", "-F", self._format(bottom.stem)]
        await run("cp", "--sparse=always", "--reflink=auto", disk, aside)
        await run("qemu-img", "rebase", "-q", "-f", "qcow2", *below, aside)
        self._name(aside, disk)

    async def _copy(self, disk: Path, to: Path, on: str | None) -> None:
        """Copy the disk's own file, whose backing file is the layer `on`, to `to`."""
        aside = to.with_name(f".{to.stem}.new")
        below = ["-B", f"../layers/{on}.qcow2", "-F", self._format(on)] if on else []
        files = (disk, aside)
        await run("qemu-img", "convert", "-q", "-U", "-f", "qcow2", "-O", "qcow2", *below, *files)
        self._name(aside, to)

    def _name(self, aside: Path, path: Path) -> None:
        """Rename a complete file."""
        _sync(aside)
        aside.replace(path)
        _sync(path.parent)

    def _chain(self, path: Path) -> list[Path]:
        """The backing files of a file, nearest first."""
        chain: list[Path] = []
        here = path
        while qcow2.is_qcow2(here) and (below := qcow2.read(here).backing):
            here = self._layers / Path(below).name
            chain.append(here)
            if here.is_symlink():  # backing files of the public image are not in this folder
                break
        return chain

    def _bytes(self, layer: Path) -> int:
        """The space that the layer and its backing files use."""
        return sum(path.stat().st_blocks * 512 for path in [layer, *self._chain(layer)])

    def _collect(self) -> None:
        """Delete the files of deleted layers that nothing needs, which may free further ones."""
        while forgotten := {path.stem for path in self._layers.glob("*.forgotten")}:
            files = [*self._disks.glob("*.qcow2"), *self._layers.glob("*.qcow2")]
            used = {Path(below).stem for path in files if (below := _backing(path))}
            if not (free := forgotten - used):
                return
            for layer_id in free:
                (self._layers / f"{layer_id}.qcow2").unlink(missing_ok=True)
                (self._layers / f"{layer_id}.forgotten").unlink(missing_ok=True)


def _backing(path: Path) -> str | None:
    with contextlib.suppress(FileNotFoundError):
        if not path.is_symlink() and qcow2.is_qcow2(path):
            return qcow2.read(path).backing
    return None


def _sync(path: Path) -> None:
    """Sync a file or a folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
