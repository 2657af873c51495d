"""A machine that somebody made of the plain base takes an image, by a swap of its boot disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from devstack import demo_fleet
from devstack.waiting import wait_until

if TYPE_CHECKING:
    from devstack.testbed import Testbed

pytestmark = pytest.mark.usefixtures("as_it_was")

PLAIN = "projects/debian-cloud/global/images/family/debian-12"
INSTANCE = f"zones/{demo_fleet.ZONE}/instances/web-1"
BOOTED = 420.0  # seconds
HOUR = 3600.0


def by_key(instance: dict[str, Any]) -> dict[str, str]:
    return {item["key"]: item["value"] for item in instance["metadata"]["items"]}


@pytest.mark.ci
def test_a_plain_machine_takes_the_image_and_keeps_everything_else(
    bed: Testbed, web_image: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_fleet, "MEMBERS", ("web-1",))
    bed.declare_members(["web-1"])
    demo_fleet.insert(bed.compute, PLAIN)
    wait_until(
        lambda: "born as " in bed.compute.serial_output(INSTANCE),
        BOOTED,
        "the plain machine",
        every=1,
    )
    born = bed.compute.serial_output(INSTANCE).rpartition("born as ")[2].split()[0]
    before = bed.compute.call("GET", INSTANCE)

    run = bed.bake("roll_out__web", deadline=HOUR, image=web_image["name"])
    assert run.state == "success", bed.explain(run)

    (seen,) = demo_fleet.observe(bed.compute, real=True).values()
    assert (seen.boot_image, seen.healthy_image) == (web_image["name"], web_image["name"])
    assert seen.page["git_sha"] == web_image["labels"]["git-sha"]
    assert seen.page["greeting"] == demo_fleet.greeting("web-1")
    assert seen.data == born, "what lay on the data disk"
    after = bed.compute.call("GET", INSTANCE)
    assert by_key(after) == by_key(before)
    for field in ("id", "networkInterfaces", "machineType"):
        assert after[field] == before[field]
    assert demo_fleet.leftovers(bed.compute) == []
