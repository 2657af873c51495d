"""Rejected requests: each has an error in Google's format, and no effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .gce import DEBIAN, ZONE, Gce, instance

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Server

JSON = {"content-type": "application/json"}
VMS = f"zones/{ZONE}/instances"
DISKS = f"zones/{ZONE}/disks"
OTHER = "us-central1-b"
TEMPLATES = "global/instanceTemplates"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"{VMS}/none/setMachineResources"),  # which requires a body
        ("POST", f"{VMS}/none/addNetworkInterface"),
        ("POST", "global/urlMaps"),
        ("GET", "regions/us-central1/targetPools"),
        ("GET", "zones/mars-1/nodeTypes"),
    ],
)
def test_a_missing_method_is_reported_before_invalid_requests(
    instant: Gce, method: str, path: str
) -> None:
    message = instant.fails(501, "notImplemented", method, path, {"nonsense": 1}, nonsense=1)
    assert message.startswith("localgce does not implement compute.")


@pytest.mark.parametrize(
    ("mask", "unknown"),
    [
        ("nosuch", "nosuch"),
        ("items(name,nosuch)", "items/nosuch"),
        ("items/disks/nosuch", "items/disks/nosuch"),
        ("items/name/deeper", "items/name/deeper"),
        ("items(name", "items(name"),
    ],
)
def test_unknown_fields_of_a_mask_are_rejected(instant: Gce, mask: str, unknown: str) -> None:
    message = instant.fails(400, "invalidParameter", "GET", VMS, fields=mask)
    assert message == f"Invalid field selection {unknown}"
    for good in ("items/labels/any", "items(*/source,metadata(items))", "*"):
        assert instant.call("GET", VMS, fields=good).status_code == 200


def test_responses_are_json_pretty_printed_on_request(instant: Gce) -> None:
    path = f"zones/{ZONE}"
    assert instant.call("GET", path, prettyPrint="true").text.startswith('{\n  "kind"')
    assert instant.call("GET", path, **{"$alt": "json;enum-encoding=int"}).status_code == 200
    instant.fails(400, "invalidParameter", "GET", path, alt="media")


def test_public_projects_are_read_only(instant: Gce, name: str) -> None:
    images = "/compute/v1/projects/debian-cloud/global/images"
    body = {"name": name, "sourceImage": DEBIAN}
    refused = instant.http.post(images, json=body)
    assert refused.status_code == 403
    error = refused.json()["error"]
    assert error["errors"][0]["reason"] == "forbidden"
    assert "Required 'compute.images.create' permission" in error["message"]
    public = instant.http.get(f"{images}/family/debian-12").json()["name"]
    assert instant.http.delete(f"{images}/{public}").status_code == 403
    assert instant.http.get(f"{images}/{public}").status_code == 200


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"machineType": f"zones/{OTHER}/machineTypes/e2-small"}, "resource.machineType"),
        ({"tags": {"items": ["web", "Bad Tag"]}}, "resource.tags.items[1]"),
        ({"tags": {"items": [f"t{i}" for i in range(65)]}}, "resource.tags.items"),
        ({"serviceAccounts": [{"email": "nobody"}]}, "resource.serviceAccounts[0].email"),
        (
            {"networkInterfaces": [{"subnetwork": "regions/europe-west1/subnetworks/default"}]},
            "resource.networkInterfaces[0].subnetwork",
        ),
    ],
)
def test_invalid_fields_of_an_instance_are_rejected(
    instant: Gce, name: str, change: dict[str, Any], field: str
) -> None:
    message = instant.fails(400, "invalid", "POST", VMS, {**instance(name), **change})
    assert message.startswith(f"Invalid value for field '{field}'")
    instant.fails(404, "notFound", "GET", f"{DISKS}/{name}")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"sizeGb": "0"}, "resource.sizeGb"),
        ({"sizeGb": "65537"}, "resource.sizeGb"),
        ({"type": f"zones/{OTHER}/diskTypes/pd-ssd"}, "resource.type"),
        ({"type": f"zones/{ZONE}/diskTypes/pd-none"}, "resource.type"),
        ({"sourceImage": "family/debian-12"}, "resource.sourceImage"),
    ],
)
def test_invalid_disks_are_rejected(
    instant: Gce, name: str, body: dict[str, Any], field: str
) -> None:
    message = instant.fails(400, "invalid", "POST", DISKS, {"name": name, **body})
    assert message.startswith(f"Invalid value for field '{field}'")
    instant.fails(404, "notFound", "GET", f"{DISKS}/{name}")


def test_a_disk_has_one_writer_or_many_readers(instant: Gce, name: str) -> None:
    instant.do("POST", DISKS, {"name": f"{name}-d", "sizeGb": "1"})
    data = {"source": f"{DISKS}/{name}-d", "deviceName": "data"}
    reading = {**data, "mode": "READ_ONLY"}
    used = "resourceInUseByAnotherResource"
    twice = instance(name)
    twice["disks"] += [data, {**data, "deviceName": "again"}]
    instant.fails(400, used, "POST", VMS, twice)
    for each in ("1", "2"):
        instant.create(f"{name}-{each}")
    instant.do("POST", f"{VMS}/{name}-1/attachDisk", data)
    for wanted in (data, reading):
        instant.fails(400, used, "POST", f"{VMS}/{name}-2/attachDisk", wanted)
    instant.do("POST", f"{VMS}/{name}-1/detachDisk", deviceName="data")
    for each in ("1", "2"):
        instant.do("POST", f"{VMS}/{name}-{each}/attachDisk", reading)
    instant.fails(400, used, "DELETE", f"{DISKS}/{name}-d")
    for each in ("1", "2"):
        instant.do("DELETE", f"{VMS}/{name}-{each}")
    instant.fails(400, "required", "POST", f"{DISKS}/{name}-d/resize", {})
    assert not instant.get(f"{DISKS}/{name}-d").get("users"), "nobody has it any more"
    instant.do("DELETE", f"{DISKS}/{name}-d")


def test_a_snapshot_of_a_suspended_machine_leaves_it_suspended(instant: Gce, name: str) -> None:
    instant.create(name, metadata={"instant-script": "watch"})
    instant.do("POST", f"{VMS}/{name}/suspend")
    instant.do("POST", f"{DISKS}/{name}/createSnapshot", {"name": name})
    assert instant.instance(name)["status"] == "SUSPENDED"
    body = {"items": [{"key": "colour", "value": "red"}, {"key": "instant-script", "value": ""}]}
    body["fingerprint"] = instant.instance(name)["metadata"]["fingerprint"]
    instant.do("POST", f"{VMS}/{name}/setMetadata", body)
    assert "changed red" not in instant.get(f"{VMS}/{name}/serialPort")["contents"]
    instant.do("POST", f"{VMS}/{name}/resume")
    path = f"{VMS}/{name}/serialPort"
    instant.until(lambda: "changed red" in instant.get(path)["contents"])
    instant.do("DELETE", f"{VMS}/{name}")
    instant.do("DELETE", f"global/snapshots/{name}")


@pytest.mark.parametrize(
    ("change", "reason", "field"),
    [
        ({"machineType": f"zones/{ZONE}/machineTypes/e2-small"}, "invalid", "machineType"),
        ({"machineType": None}, "required", "machineType"),
        ({"disks": []}, "invalid", "disks"),
        ({"networkInterfaces": []}, "invalid", "networkInterfaces"),
        ({"labels": {"Bad": ""}}, "invalid", "labels"),
        ({"tags": {"items": ["-"]}}, "invalid", "tags.items[0]"),
    ],
)
def test_invalid_templates_are_rejected(
    instant: Gce, name: str, change: dict[str, Any], reason: str, field: str
) -> None:
    properties = {**instance(name), "machineType": "e2-small", **change}
    del properties["name"]
    body = {"name": name, "properties": properties}
    message = instant.fails(400, reason, "POST", TEMPLATES, body)
    assert f"'resource.properties.{field}'" in message


def test_a_template_of_an_instance(instant: Gce, name: str) -> None:
    data = {"deviceName": "data", "autoDelete": True, "initializeParams": {"diskSizeGb": "3"}}
    body = instance(name, labels={"of": "template"}, metadata={"a": "b"})
    body["disks"].append(data)
    instant.do("POST", VMS, body)
    instant.do("POST", TEMPLATES, {"name": name, "sourceInstance": f"{VMS}/{name}"})
    properties = instant.get(f"{TEMPLATES}/{name}")["properties"]
    assert properties["machineType"] == "e2-small"
    assert "networkIP" not in properties["networkInterfaces"][0]
    instant.do("POST", VMS, {"name": f"{name}-2"}, sourceInstanceTemplate=f"{TEMPLATES}/{name}")
    made = instant.instance(f"{name}-2")
    assert (made["labels"], made["metadata"]["items"]) == (
        {"of": "template"},
        [{"key": "a", "value": "b"}],
    )
    assert [(d["deviceName"], d["diskSizeGb"]) for d in made["disks"]] == [
        ("persistent-disk-0", "10"),
        ("data", "3"),
    ]
    assert instant.get(f"{DISKS}/{name}-2")["sourceImage"].endswith("v20261110")
    for each in (name, f"{name}-2"):
        instant.do("DELETE", f"{VMS}/{each}")
    instant.fails(
        404, "notFound", "POST", TEMPLATES, {"name": f"{name}-3", "sourceInstance": f"{VMS}/{name}"}
    )
    instant.do("DELETE", f"{TEMPLATES}/{name}")


def test_a_family_view_of_any_zone_is_accepted_as_source(instant: Gce, name: str) -> None:
    view = "projects/debian-cloud/zones/-/imageFamilyViews/debian-12"
    instant.do("POST", DISKS, {"name": name, "sourceImage": view})
    assert "/debian-cloud/global/images/" in instant.get(f"{DISKS}/{name}")["sourceImage"]
    instant.do("DELETE", f"{DISKS}/{name}")
    path = f"/compute/v1/projects/debian-cloud/zones/{ZONE}/imageFamilyViews/debian-12"
    assert instant.http.get(path).json()["image"]["family"] == "debian-12"


@pytest.mark.parametrize("rules", [{}, {"allowed": [{}], "denied": [{}]}])
def test_a_firewall_allows_or_denies(instant: Gce, name: str, rules: dict[str, Any]) -> None:
    instant.fails(400, "invalid", "POST", "global/firewalls", {"name": name, **rules})
    assert name not in {made["name"] for made in instant.items("global/firewalls")}


def test_quotas_apply_to_starts_and_growth(make_server: Callable[..., Server]) -> None:
    gce = make_server().start()
    gce.create("one")
    gce.do("POST", f"{VMS}/one/stop")
    gce.create("two")
    for metric, limit in (("CPUS", 2), ("DISKS_TOTAL_GB", 30)):
        quota = {"region": "us-central1", "metric": metric, "limit": limit}
        gce.admin("POST", "quotas", quota)
    message = gce.fails(403, "quotaExceeded", "POST", f"{VMS}/one/start")
    assert message == "Quota 'CPUS' exceeded.  Limit: 2.0 in region us-central1."
    gce.do("POST", f"{DISKS}/one/resize", {"sizeGb": "20"})
    gce.fails(403, "quotaExceeded", "POST", f"{DISKS}/two/resize", {"sizeGb": "11"})
    gce.do("POST", f"{VMS}/two/stop")
    gce.do("POST", f"{VMS}/one/start")
    for page in ("quotas", "faults", "clock"):
        refused = gce.http.post(f"/_localgce/{page}", content=b"{", headers=JSON)
        assert refused.status_code == 400, page
    for nonsense in ({"nth": 0}, {"times": 0}, {"status": 999}, {"seconds": -1}, {"when": "x"}):
        refused = gce.http.post("/_localgce/faults", json={"kind": "http", **nonsense})
        assert refused.status_code == 400, nonsense
    assert gce.admin("GET", "faults")["faults"] == []


def test_a_source_deleted_before_its_use_fails_the_operation(instant: Gce, name: str) -> None:
    instant.do("POST", "global/images", {"name": name, "sourceImage": DEBIAN})
    instant.admin("POST", "faults", {"kind": "stuck", "resource": f"{name}-d"})
    source = {"name": f"{name}-d", "sourceImage": f"global/images/{name}"}
    begun = instant.start("POST", DISKS, source)
    instant.do("DELETE", f"global/images/{name}")
    instant.admin("DELETE", "faults")
    failed = instant.finish(begun)
    assert failed["error"]["errors"][0]["code"] == "RESOURCE_NOT_FOUND"
    assert failed["httpErrorStatusCode"] == 404
    instant.fails(404, "notFound", "GET", f"{DISKS}/{name}-d")


N4 = f"zones/{ZONE}/machineTypes/n4-standard-2"
C3 = f"zones/{ZONE}/machineTypes/c3-standard-4"
SUBNET = "regions/us-central1/subnetworks/default"


def boot_disk(kind: str, **more: Any) -> dict[str, Any]:
    params = {"sourceImage": DEBIAN, "diskType": f"zones/{ZONE}/diskTypes/{kind}", **more}
    return {"disks": [{"boot": True, "autoDelete": True, "initializeParams": params}]}


@pytest.mark.parametrize(
    ("reason", "more", "message"),
    [
        ("badRequest", {"machineType": N4, **boot_disk("pd-balanced")}, "pd-balanced disk type"),
        (
            "badRequest",
            {"machineType": C3, **boot_disk("pd-standard")},
            "pd-standard disk type cannot be used by c3-standard-4 machine type.",
        ),
        ("badRequest", boot_disk("hyperdisk-balanced"), "used by e2-small machine type."),
        ("invalid", boot_disk("pd-extreme", diskSizeGb="499"), "between 500 GB and 65536 GB"),
        ("invalid", boot_disk("pd-ssd", diskSizeGb="65537"), "between 1 GB and 65536 GB"),
        ("invalid", {"description": "x" * 2049}, "(2049 characters)"),
        (
            "invalid",
            {"networkInterfaces": [{"network": "global/networks/other", "subnetwork": SUBNET}]},
            "The subnetwork is not of the network.",
        ),
        (
            "invalid",
            {"networkInterfaces": [{"subnetwork": "regions/europe-west1/subnetworks/default"}]},
            "not in the instance's region",
        ),
        (
            "invalid",
            {
                "scheduling": {
                    "maxRunDuration": {"seconds": "29"},
                    "instanceTerminationAction": "DELETE",
                }
            },
            "from 30 seconds to 120 days",
        ),
        (
            "invalid",
            {
                "disks": [
                    {
                        "boot": True,
                        "initializeParams": {"sourceImage": DEBIAN},
                        "diskEncryptionKey": {"kmsKeyName": "my-key"},
                    }
                ]
            },
            "Must be the path of a Cloud KMS key.",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(
    instant: Gce, name: str, reason: str, more: dict[str, Any], message: str
) -> None:
    assert message in instant.fails(400, reason, "POST", VMS, instance(name, **more))
    instant.fails(404, "notFound", "GET", f"{VMS}/{name}")


def test_a_subnetwork_alone_brings_its_network(instant: Gce, name: str) -> None:
    created = instant.create(name, networkInterfaces=[{"subnetwork": SUBNET}])
    assert created["networkInterfaces"][0]["network"].endswith("/global/networks/default")
    instant.do("DELETE", f"{VMS}/{name}")


def test_the_disk_type_that_is_not_named_is_one_of_the_machines(instant: Gce, name: str) -> None:
    instant.create(name, machineType=N4)
    assert instant.get(f"{DISKS}/{name}")["type"].endswith("/hyperdisk-balanced")
    instant.do("POST", DISKS, {"name": f"{name}-data", "sizeGb": "10"})
    attached = {"source": f"zones/{ZONE}/disks/{name}-data"}
    message = instant.fails(400, "badRequest", "POST", f"{VMS}/{name}/attachDisk", attached)
    assert message == "pd-standard disk type cannot be used by n4-standard-2 machine type."
    instant.do("POST", f"{VMS}/{name}/stop")
    other = {"machineType": f"zones/{ZONE}/machineTypes/e2-small"}
    message = instant.fails(400, "badRequest", "POST", f"{VMS}/{name}/setMachineType", other)
    assert message == "hyperdisk-balanced disk type cannot be used by e2-small machine type."
    instant.do("DELETE", f"{VMS}/{name}")
    instant.do("DELETE", f"{DISKS}/{name}-data")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"storageLocations": ["mars"]}, "Must be a region, us, eu or asia."),
        ({"imageEncryptionKey": {"kmsKeyName": "k"}}, "Must be the path of a Cloud KMS key."),
        ({"description": "x" * 2049}, "(2049 characters)"),
    ],
)
def test_fields_of_an_image_have_a_form(
    instant: Gce, name: str, more: dict[str, Any], message: str
) -> None:
    body = {"name": name, "sourceImage": DEBIAN, **more}
    assert message in instant.fails(400, "invalid", "POST", "global/images", body)
