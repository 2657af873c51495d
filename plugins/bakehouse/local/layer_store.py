"""The layers of this computer: kept while a builder installs, found again by the next build."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import ValidationError

from bakehouse.images import labels
from bakehouse.local.errors import LocalError
from bakehouse.local.layers import LayerRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from bakehouse.bake.builder import BuilderVm
    from bakehouse.local.client import Client
    from bakehouse.local.layers import InstallState
    from bakehouse.local.places import Places
    from bakehouse.local.runs import LocalRun

LOOK_EVERY = 0.4


def known_layers(places: Places, client: Client, recipe: str) -> list[LayerRecord]:
    """Return the recipe's layers whose image still exists."""
    ids = {image["id"] for image in client.images()}
    found = []
    for path in places.layers.glob("*.json"):
        try:
            record = LayerRecord.model_validate_json(path.read_text())
        except ValidationError:  # of another version of Bakehouse
            path.unlink(missing_ok=True)
            continue
        if record.image_id not in ids:
            path.unlink(missing_ok=True)
        elif record.recipe == recipe:
            found.append(record)
    return found


class LayerKeeper:
    """Keeps the disk of a builder whenever it waits for that, until it is cancelled.

    Args:
        places: Where the records are.
        client: To the local server.
        run: The build.
        state: What decides the content of its disk.
        say: Shows a line.
    """

    def __init__(
        self,
        places: Places,
        client: Client,
        run: LocalRun,
        state: InstallState,
        say: Callable[[str], None],
    ) -> None:
        self._places, self._client, self._run = places, client, run
        self._state, self._say = state, say
        self._kept = 0

    async def follow(self, vm: BuilderVm) -> None:
        """Look every moment; what cannot be kept costs the next build time, not this one."""
        while True:
            try:
                await asyncio.to_thread(self._look, vm)
            except LocalError as error:
                self._say(f"the layer is not kept: {error}")
                return
            await asyncio.sleep(LOOK_EVERY)

    def _look(self, vm: BuilderVm) -> None:
        told = self._client.guest_attribute(vm.zone, vm.name, "layer")
        if told is None:
            return
        first, *reads = told.split("\n")
        number = int(first)
        if number > self._kept:
            self._keep(vm, number, reads)
            self._kept = number

    def _keep(self, vm: BuilderVm, number: int, reads: list[str]) -> None:
        name = f"layer-{self._run.recipe}-{self._run.label[:8]}-{number}"
        until = datetime.now(UTC) + labels.LAYER_LIVES
        body = {
            "name": name,
            "description": f"local layer of {self._run.recipe} after part {number} of its install",
            "sourceDisk": f"zones/{vm.zone}/disks/{vm.name}",
            "labels": {
                labels.RECIPE: self._run.recipe,
                labels.RUN: self._run.label,
                labels.ROLE: labels.LAYER,
                labels.LOCAL: labels.WORK_TREE,
                labels.PART: str(number),
                labels.KEPT: "until-it-expires",
                labels.EXPIRES: labels.expiry(until),
            },
        }
        image = self._client.image_of_running(body)
        record = LayerRecord(
            image=name,
            image_id=str(image["id"]),
            self_link=str(image["selfLink"]),
            recipe=self._run.recipe,
            parts=number,
            state=self._state,
            reads=tuple(reads),
        )
        (self._places.layers / f"{name}.json").write_text(record.model_dump_json())
        self._client.set_attribute(vm.zone, vm.name, "bakehouse-layer-kept", str(number))
        self._say(f"layer {name} is kept")
