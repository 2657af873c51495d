"""`bakehouse run`: from a recipe or an image to a healthy machine whose log is followed."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from bakehouse.local.build import build
from bakehouse.local.client import Client
from bakehouse.local.content import local_images, read_content
from bakehouse.local.errors import LocalError
from bakehouse.local.machine import follow, machine_of, open_ports, recipe_in, until_healthy
from bakehouse.recipe.commit import RECIPES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from bakehouse.local.build import Request
    from bakehouse.local.machine import Forward


def run_machine(
    request: Request, name: str, metadata: Mapping[str, str], forwards: Sequence[Forward]
) -> None:
    """Boot it, wait until it is healthy, follow its log until it ends. Raises LocalError."""
    if request.server is None:
        raise LocalError("machines run on this computer only")
    project = request.places.project
    is_recipe = (project / RECIPES / f"{name}.yaml").is_file()
    untested = replace(request, smoke=False)
    image_name = build(untested, name).image if is_recipe else name
    with Client(request.server) as client:
        image = _image(client, image_name)
        recipe = read_content(project, recipe_in(image), {}).recipe
        image = next(i for i in local_images(client, recipe) if i["name"] == image_name)
        request.say(f"booting {image_name}")
        with machine_of(request.places, client, recipe, image, metadata) as machine:
            addresses = open_ports(request.places, machine, forwards)
            until_healthy(machine, recipe.boot_time_limit * 2, request.say)
            request.say(f"{machine.name} is healthy; {', '.join(addresses) or 'no address'}")
            request.say("Ctrl-C deletes it")
            with contextlib.suppress(KeyboardInterrupt):
                follow(machine, request.say)
            request.say(f"deleting {machine.name}")


def _image(client: Client, name: str) -> Mapping[str, Any]:
    for kind in ("images", "machineImages"):
        for image in client.images(kind):
            if image["name"] == name:
                return image
    raise LocalError("it is neither a recipe nor a local image: `bakehouse ps` lists these")
