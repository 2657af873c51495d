"""The images of `debian-cloud`: present at once for instant machines, built for real ones."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING

from localgce.core import links
from localgce.core.catalog import DEBIAN_PROJECT
from localgce.core.clock import timestamp
from localgce.core.errors import Json, MachineError, OperationError
from localgce.core.ids import fingerprint
from localgce.core.store import Record

if TYPE_CHECKING:
    from pathlib import Path

    from localgce.core.changes import Changes
    from localgce.core.store import Store
    from localgce.machines.contract import Host, PublicImage


class PublicImages:
    """Stores the records of the public images, and builds each when it is first used."""

    def __init__(self, store: Store, changes: Changes, host: Host) -> None:
        """Build with `host`; wait for other images on the topic `image/<id>`."""
        self._store = store
        self._changes = changes
        self._host = host
        self._builds: dict[str, asyncio.Task[None]] = {}  # by family

    async def open(self) -> None:
        """Store the images: READY when they are in the cache, PENDING otherwise."""
        for other in self._store.all("images", DEBIAN_PROJECT):
            if other.body["status"] != "READY":  # of an earlier definition, and never built
                self._store.delete(other)
        for image in await self._host.public_images():
            self._store.put(_record(image))
            if image.ready:
                await self._host.import_public_image(image)

    async def close(self) -> None:
        """Cancel all builds."""
        for build in self._builds.values():
            build.cancel()
        await asyncio.gather(*self._builds.values(), return_exceptions=True)

    async def ready(self, image: Record) -> None:
        """Wait until the image can be used; raises OperationError when it never can."""
        while True:
            current = self._store.again(image)
            if current is None:
                raise OperationError("RESOURCE_NOT_FOUND", f"{image.path} is gone", 404)
            if current.body["status"] == "READY":
                return
            if current.body["status"] == "FAILED":
                raise OperationError("RESOURCE_NOT_READY", f"{image.path} has failed")
            if image.project == DEBIAN_PROJECT and image.kind == "images":
                await self._built(current.body["family"])
            else:
                await self._changes.wait(f"image/{image.id}")

    async def _built(self, family: str) -> None:
        build = self._builds.get(family)
        if build is None or build.done():
            build = self._builds[family] = asyncio.create_task(self._do_build(family))
        try:
            await asyncio.shield(build)
        except MachineError as error:
            text = f"{DEBIAN_PROJECT}: {error}"
            raise OperationError("INTERNAL_ERROR", text, 500) from error

    async def _do_build(self, family: str) -> None:
        image = await self._host.build_public_image(family)
        await self._host.import_public_image(image)
        self._store.put(_record(image))


def _record(image: PublicImage) -> Record:
    path = f"projects/{DEBIAN_PROJECT}/global/images/{image.name}"
    release = image.name.rpartition("-v")[0]  # debian-12-bookworm
    licence = links.url(f"projects/{DEBIAN_PROJECT}/global/licenses/{release}")
    _, number, suite = release.split("-")
    at = datetime.fromisoformat(image.created).timestamp()
    body: Json = {
        "kind": "compute#image",
        "id": image.id,
        "name": image.name,
        "family": image.family,
        "description": f"Debian GNU/Linux {number} ({suite}), built by localgce",
        "creationTimestamp": timestamp(at),
        "selfLink": links.url(path),
        "sourceType": "RAW",
        "rawDisk": {"containerType": "TAR", "source": ""},
        "status": "READY" if image.ready else "PENDING",
        "archiveSizeBytes": _size(image.layer_path),
        "diskSizeGb": str(image.size_gb),
        "licenses": [licence],
        "architecture": "X86_64",
        "guestOsFeatures": [{"type": "VIRTIO_SCSI_MULTIQUEUE"}, {"type": "UEFI_COMPATIBLE"}],
        "storageLocations": ["us"],
        "labelFingerprint": fingerprint({}),
    }
    private = {"layer": image.id, "at": at}
    return Record("images", DEBIAN_PROJECT, "global", image.name, body, private)


def _size(path: Path) -> str:
    return str(path.stat().st_size) if path.exists() else "0"
