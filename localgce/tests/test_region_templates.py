"""Instance templates of a region."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .gce import ZONE, instance

if TYPE_CHECKING:
    from .gce import Gce

REGION = "regions/us-central1"
TEMPLATES = f"{REGION}/instanceTemplates"
VMS = f"zones/{ZONE}/instances"


def template(name: str) -> dict[str, object]:
    properties = {key: value for key, value in instance(name).items() if key != "name"}
    return {"name": name, "properties": {**properties, "machineType": "e2-small"}}


def test_a_template_of_a_region_makes_instances_and_groups_there(instant: Gce, name: str) -> None:
    instant.do("POST", TEMPLATES, template(name))
    own = f"{TEMPLATES}/{name}"
    made = instant.get(own)
    assert made["selfLink"].endswith(f"/projects/demo/{own}")
    assert made["region"].endswith(f"/{REGION}")
    assert made in instant.items(TEMPLATES)
    instant.fails(404, "notFound", "GET", f"global/instanceTemplates/{name}")
    found = instant.get("aggregated/instanceTemplates")["items"][REGION]["instanceTemplates"]
    assert made in found

    instant.do("POST", VMS, {"name": name}, sourceInstanceTemplate=made["selfLink"])
    assert instant.instance(name)["machineType"].endswith("/e2-small")
    group = {"name": name, "baseInstanceName": f"{name}-m", "targetSize": 1}
    groups = f"zones/{ZONE}/instanceGroupManagers"
    instant.do("POST", groups, {**group, "instanceTemplate": own})
    status = instant.until(
        lambda: (g := instant.get(f"{groups}/{name}"))["status"]["isStable"] and g
    )
    assert status["instanceTemplate"] == made["selfLink"]
    (member,) = instant.start("POST", f"{groups}/{name}/listManagedInstances")["managedInstances"]
    items = instant.instance(member["instance"].rsplit("/", 1)[1])["metadata"]["items"]
    assert {"key": "instance-template", "value": f"projects/demo/{own}"} in items
    instant.fails(400, "resourceInUseByAnotherResource", "DELETE", own)

    instant.do("DELETE", f"{groups}/{name}")
    instant.do("DELETE", f"{VMS}/{name}")
    instant.do("DELETE", own)
    instant.fails(404, "notFound", "GET", own)


def test_a_template_of_another_region_is_refused(instant: Gce, name: str) -> None:
    elsewhere = "regions/europe-west1/instanceTemplates"
    instant.do("POST", elsewhere, template(name))
    link = f"projects/demo/{elsewhere}/{name}"
    message = instant.fails(
        400, "invalid", "POST", VMS, {"name": name}, sourceInstanceTemplate=link
    )
    assert "must be global or of the region 'us-central1'" in message
    group = {"name": name, "targetSize": 1, "instanceTemplate": link}
    groups = f"zones/{ZONE}/instanceGroupManagers"
    assert "of the region" in instant.fails(400, "invalid", "POST", groups, group)
    instant.do("DELETE", f"{elsewhere}/{name}")
