"""A fleet that is ill takes the image that mends it, whoever of it is ill; on instant machines."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest
from tests.flow.fleet import HERE, ZONE

from bakehouse.fleet.load import load_fleet

from .walk import Rollout

if TYPE_CHECKING:
    from tests.flow.fleet import Members

    from devstack.gce_api import Compute

    from .conftest import Images

RUNS = count(1)
NAMES = ["web-1", "web-2", "web-3"]
FLEET = f"""\
recipe: web
members: {{instances: [web-1, web-2, web-3], zones: [{ZONE}]}}
stages: [1, 100%]
health_deadline: 20s
"""


def make_ill(compute: Compute, fleet_of: Members, name: str) -> None:
    """Take away the attribute without which the newer image does not get healthy."""
    path = f"{HERE}/instances/{name}"
    metadata = compute.call("GET", path)["metadata"]
    items = [item for item in metadata["items"] if item["key"] != "color"]
    compute.call("POST", f"{path}/setMetadata", json={**metadata, "items": items})
    fleet_of.restart(name)


@pytest.mark.parametrize("ill", [["web-3"], ["web-2", "web-3"], NAMES], ids=len)
def test_a_fleet_with_ill_members_takes_the_image_that_mends_them_ill_ones_first(
    compute: Compute, fleet_of: Members, images: Images, ill: list[str]
) -> None:
    fleet_of.create(images.new, NAMES)
    for name in ill:
        make_ill(compute, fleet_of, name)
    compute.forget()
    fleet = load_fleet(FLEET, "fleets/web.yaml")
    run = Rollout(fleet, f"manual__mends{next(RUNS)}", images.old)
    assert run.through() == "success", run.errors
    assert fleet_of.facts().health == dict.fromkeys(NAMES, images.old)
    stopped = [name.rpartition("/")[2] for name in fleet_of.calls("compute.instances.stop")]
    assert stopped == [*ill, *(name for name in NAMES if name not in ill)]
