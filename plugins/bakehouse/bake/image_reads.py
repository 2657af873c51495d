"""The reads of images that a plan is made of; those of one night are shared where they may be.

One list call has the promoted images of all recipes. A project with many pages of images is listed
by one in as many runs as it has pages; the others list their own recipe. So recipes that are due
one by one make at most about two calls each, and a night of many no more than twice the pages.
"""

from __future__ import annotations

import json
import math
import random
from typing import TYPE_CHECKING, Any

from bakehouse.images import labels
from bakehouse.images.image_kinds import CUSTOM_IMAGE, MACHINE_IMAGE
from bakehouse.images.links import labels_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bakehouse.cloud.compute_hook import ComputeHook
    from bakehouse.history.shared_reads import Answer, SharedReads

Resource = dict[str, Any]

PROMOTED = f"({labels.OURS}) (labels.{labels.STATE}={labels.PROMOTED})"


class ImageReads:
    """What a plan reads of images.

    Args:
        compute: The connection; errors of its calls are its own.
        shared: The answers of the night; None for a backfill and a local build, which look at
            images of other states, too, and share nothing.
        chance: A number from 0 to 1, another one at each call.
    """

    def __init__(
        self,
        compute: ComputeHook,
        shared: SharedReads | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._compute = compute
        self._shared = shared
        self._chance = chance

    def image(self, name: str, project: str | None = None) -> Resource | None:
        """The image, or None."""
        if self._shared is None or project in {None, self._compute.project}:
            return self._compute.image(name, project)
        return self._one(
            f"image {project}/{name}", lambda: self._compute.image(name, project), self._shared
        )

    def image_of_family(self, project: str, family: str) -> Resource | None:
        """The newest image of a family that is not deprecated, or None."""
        if self._shared is None:
            return self._compute.image_of_family(project, family)
        question = f"newest image of {project}/{family}"
        return self._one(
            question, lambda: self._compute.image_of_family(project, family), self._shared
        )

    def images_of_family(self, project: str, family: str) -> list[Resource]:
        """All images of a family, those too that are deprecated."""
        listed = self._compute.images(f"family={family}", project)
        return [image for image in listed if image.get("family") == family]

    def images_of_recipe(self, recipe: str, kind: str = CUSTOM_IMAGE) -> list[Resource]:
        """The promoted images of a recipe; where nothing is shared, those of all states."""
        listed = self._compute.machine_images if kind == MACHINE_IMAGE else self._compute.images
        own = f"labels.{labels.RECIPE}={recipe}"
        if self._shared is None:
            return listed(own)
        question = f"promoted {kind}s of {self._compute.endpoint}/{self._compute.project}"
        latest = self._shared.latest(question)
        if latest is not None and self._shared.is_current(latest):
            return images_in(latest.data, recipe)
        if self._chance() * pages(latest) >= 1:
            return listed(own)
        answer = self._shared.ask(question, lambda: by_recipe(listed(PROMOTED)))
        return images_in(answer, recipe)

    def _one(
        self, question: str, ask: Callable[[], Resource | None], shared: SharedReads
    ) -> Resource | None:
        asked = f"{question} at {self._compute.endpoint}"
        found: Resource | None = json.loads(shared.read(asked, lambda: json.dumps(ask()).encode()))
        return found


def by_recipe(images: Iterable[Resource]) -> bytes:
    """Return their number, then one line of JSON per recipe: a reader parses one line only."""
    of: dict[str, list[Resource]] = {}
    for image in images:
        of.setdefault(labels_of(image)[labels.RECIPE], []).append(image)
    lines = [str(sum(map(len, of.values())))]
    lines += [f"{recipe}\t{json.dumps(own)}" for recipe, own in sorted(of.items())]
    return "\n".join(lines).encode()


def images_in(data: bytes, recipe: str) -> list[Resource]:
    """Return the images of one recipe in what `by_recipe` wrote."""
    start = data.find(f"\n{recipe}\t".encode())
    if start < 0:
        return []
    line = data[start + 1 :].partition(b"\n")[0]
    found: list[Resource] = json.loads(line.partition(b"\t")[2])
    return found


def pages(latest: Answer | None) -> int:
    """Return how many pages the list had the last time; 1 if nobody knows."""
    from bakehouse.cloud.calls import PAGE  # it brings Google's client, which no parse may import

    if latest is None:
        return 1
    return max(1, math.ceil(int(latest.data.partition(b"\n")[0] or 0) / PAGE))
