"""The project `debian-cloud`: there at once for instant machines, built on need for real ones."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from localgce.clock import stamp
from localgce.errors import Json, OperationError
from localgce.images import builds
from localgce.machines.contract import MachineError, PublicImage
from localgce.resources import links
from localgce.resources.catalog import fixed_id
from localgce.resources.ids import fingerprint
from localgce.state.store import Record

if TYPE_CHECKING:
    from localgce.service import Service

log = logging.getLogger("localgce")
PROJECT = "debian-cloud"
# Asked for by `gcloud compute images list`; all but Debian's are empty here.
PUBLIC_PROJECTS = frozenset(
    [
        PROJECT,
        "centos-cloud",
        "cos-cloud",
        "fedora-cloud",
        "fedora-coreos-cloud",
        "google-public-images",
        "opensuse-cloud",
        "oracle-linux-cloud",
        "rhel-cloud",
        "rhel-sap-cloud",
        "rocky-linux-accelerator-cloud",
        "rocky-linux-cloud",
        "suse-cloud",
        "suse-sap-cloud",
        "ubuntu-os-accelerator-images",
        "ubuntu-os-cloud",
        "ubuntu-os-pro-cloud",
        "windows-cloud",
        "windows-sql-cloud",
        "ml-images",
        "deeplearning-platform-release",
        "debian-sap-cloud",
    ]
)

Ensure = Callable[[Path, Callable[[str], None]], Awaitable[PublicImage]]


def instant_image() -> PublicImage:
    """The public image of instant machines: the same everywhere."""
    name = "debian-12-bookworm-v20261110"
    return PublicImage(
        name=name,
        id=fixed_id(f"{PROJECT}/{name}") + "000000000",
        family="debian-12",
        created="2026-11-10T12:00:00.000-08:00",
        layer_path=Path("/nonexistent"),
        size_gb=10,
        ready=True,
    )


class PublicImages:
    """Keeps the record of the public image, and has it built when it is first needed."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._build: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Show the image: READY when it is in the cache, PENDING otherwise."""
        image = await self._identity()
        for other in self._service.store.all("images", PROJECT):
            if other.body["status"] != "READY":  # named once, never built, and now by another name
                self._service.store.delete(other)
        self._service.store.put(_record(image))
        if image.ready:
            await self._stand_on(image)

    async def close(self) -> None:
        """Give up a build."""
        if self._build is not None:
            self._build.cancel()
            await asyncio.gather(self._build, return_exceptions=True)

    async def ready(self, image: Record) -> None:
        """Return when the image can be used; raises OperationError when it cannot be built."""
        while True:
            current = self._service.store.again(image)
            if current is None:
                raise OperationError("RESOURCE_NOT_FOUND", f"{image.path} is gone", 404)
            if current.body["status"] == "READY":
                return
            if current.body["status"] == "FAILED":
                raise OperationError("RESOURCE_NOT_READY", f"{image.path} has failed")
            if image.project == PROJECT and image.kind == "images":
                await self._built()
            else:
                await self._service.changes.wait(f"image/{image.id}")

    async def _built(self) -> None:
        if self._build is None or self._build.done():
            self._build = asyncio.create_task(self._do_build())
        try:
            await asyncio.shield(self._build)
        except MachineError as error:
            raise OperationError("INTERNAL_ERROR", f"{PROJECT}: {error}", 500) from error

    async def _do_build(self) -> None:
        from localgce.images import public_image  # only real machines have it built

        image = await public_image.ensure(self._service.settings.cache, log.info)
        await self._stand_on(image)
        self._service.store.put(_record(image))

    async def _stand_on(self, image: PublicImage) -> None:
        if self._service.host.asks_by_socket:
            builds.note_user(image.layer_path, self._service.settings.state)
        await self._service.host.disks.import_layer(image.id, image.layer_path)

    async def _identity(self) -> PublicImage:
        if not self._service.host.asks_by_socket:
            return instant_image()
        from localgce.images import public_image

        await public_image.sweep(self._service.settings.cache)
        return public_image.identity(self._service.settings.cache)


def _record(image: PublicImage) -> Record:
    path = f"projects/{PROJECT}/global/images/{image.name}"
    licence = links.url(f"projects/{PROJECT}/global/licenses/debian-12-bookworm")
    body: Json = {
        "kind": "compute#image",
        "id": image.id,
        "name": image.name,
        "family": image.family,
        "description": "Debian GNU/Linux 12 (bookworm), built by localgce",
        "creationTimestamp": stamp(datetime.fromisoformat(image.created).timestamp()),
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
    at = datetime.fromisoformat(image.created).timestamp()
    return Record("images", PROJECT, "global", image.name, body, {"layer": image.id, "at": at})


def _size(path: Path) -> str:
    return str(path.stat().st_size) if path.exists() else "0"
