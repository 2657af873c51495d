"""The API with instant machines: rejections, lists, idempotency, fingerprints."""

from __future__ import annotations

import contextlib
import threading
import uuid

import pytest

from .gce import DEBIAN, ZONE, Gce, instance

VMS = f"zones/{ZONE}/instances"
DISKS = f"zones/{ZONE}/disks"


def test_a_method_that_is_not_implemented_is_named(instant: Gce) -> None:
    message = instant.fails(501, "notImplemented", "GET", "global/sslCertificates")
    assert message == "localgce does not implement compute.sslCertificates.list"
    instant.fails(404, "notFound", "GET", "global/nothingLikeThis")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nme": "x"}, "Unknown name \"nme\" at 'resource'"),
        ({"name": "Not_Good"}, "Invalid value for field 'resource.name': 'Not_Good'"),
        ({"disks": [{"boot": True, "mode": "X"}]}, "'resource.disks[0].mode': 'X'"),
        ({"disks": [{"boot": True, "initializeParams": {"a": 1}}]}, "disks[0].initializeParams"),
        ({"labels": {"Big": "x"}}, "resource.labels"),
        ({"labels": {"ok": "Big"}}, "resource.labels"),
        ({"labels": {f"l{i}": "" for i in range(65)}}, "at most 64 labels"),
        ({"metadata": {"items": [{"key": "a b", "value": ""}]}}, "resource.metadata.items[0].key"),
        ({"metadata": {"items": [{"key": "a"}]}}, "resource.metadata.items[0].value"),
        (
            {"metadata": {"items": [{"key": "a", "value": "x" * 262145}]}},
            "resource.metadata.items[0].value",
        ),
        ({"machineType": "e2-small"}, "The URL is malformed"),
        ({"machineType": f"zones/{ZONE}/machineTypes/e9-huge"}, "does not exist in zone"),
        ({"disks": []}, "Boot disk must be specified"),
        ({"networkInterfaces": []}, "At least one network interface"),
        ({"scheduling": {"provisioningModel": "SPOT", "automaticRestart": True}}, "spot"),
    ],
)
def test_an_invalid_body_is_rejected_with_the_path_of_the_field(
    instant: Gce, name: str, change: dict[str, object], message: str
) -> None:
    response = instant.call("POST", VMS, {**instance(name), **change})
    assert response.status_code == 400
    assert message in response.json()["error"]["message"]
    instant.fails(404, "notFound", "GET", f"{VMS}/{name}")


def test_missing_fields_wrong_zones_and_sources_are_rejected(instant: Gce, name: str) -> None:
    body = instance(name)
    del body["name"]
    message = instant.fails(400, "required", "POST", VMS, body)
    assert message == "Required field 'resource.name' not specified"
    assert "Unknown zone" in instant.fails(400, "invalid", "GET", "zones/mars-a/instances")
    missing = {"name": name, "sourceImage": "projects/debian-cloud/global/images/none"}
    instant.fails(404, "notFound", "POST", DISKS, missing)
    instant.fails(400, "badRequest", "GET", VMS, nonsense="1")
    instant.fails(400, "required", "POST", f"{VMS}/{name}/detachDisk")
    other = instant.http.get("/compute/v1/projects/someone-else/zones")
    assert other.status_code == 404


def test_packers_url_without_projects_is_malformed(instant: Gce, name: str) -> None:
    source = f"https://compute.googleapis.com/compute/v1/demo/zones/{ZONE}/disks/x"
    message = instant.fails(
        400, "invalid", "POST", "global/images", {"name": name, "sourceDisk": source}
    )
    assert "The URL is malformed" in message


def test_links_with_any_base_are_accepted_and_nulls_are_dropped(instant: Gce, name: str) -> None:
    body = instance(name)
    base = "http://localhost:1/compute/v1/"
    body["disks"][0]["initializeParams"]["sourceImage"] = base + DEBIAN
    body["machineType"] = f"{base}projects/demo/zones/{ZONE}/machineTypes/n1-standard-1"
    body["metadata"]["items"] = [None, {"key": "a", "value": "b"}]
    body["description"] = None
    instant.do("POST", VMS, body)
    assert instant.instance(name)["metadata"]["items"] == [{"key": "a", "value": "b"}]
    instant.do("DELETE", f"{VMS}/{name}")


@pytest.mark.parametrize(
    "base",
    [
        *("/compute/v1/", "compute/v1/", "/compute/beta/", "https://compute.googleapis.com/v1/"),
        *("https://www.googleapis.com/compute/v1/", "http://localhost:1/compute/v1/", "/", ""),
    ],
)
def test_a_link_is_stored_with_the_base_of_compute_engine(
    instant: Gce, name: str, base: str
) -> None:
    """Packer writes it without a host."""
    instant.do("POST", DISKS, {"name": name, "sizeGb": "10"})
    source = f"{base}projects/demo/{DISKS}/{name}"
    instant.do("POST", "global/images", {"name": name, "sourceDisk": source})
    disk = instant.get(f"global/images/{name}")["sourceDisk"]
    assert disk == f"https://www.googleapis.com/compute/v1/projects/demo/{DISKS}/{name}"
    instant.do("DELETE", f"global/images/{name}")
    instant.do("DELETE", f"{DISKS}/{name}")


def test_a_whole_build_of_packer_is_taken_as_it_is_sent(instant: Gce, name: str) -> None:
    """Its plugin leaves fields empty that are not set, and deprecates each image with nothing."""
    made = f"zones/{ZONE}/instances/{name}"
    source = instant.http.get("/compute/v1/projects/debian-cloud/global/images/family/debian-12")
    kind = instant.get(f"zones/{ZONE}/machineTypes/e2-small")["selfLink"]
    initial = {
        "diskName": name,
        "diskSizeGb": "10",
        "diskType": f"zones/{ZONE}/diskTypes/pd-balanced",
    }
    disk = {
        "type": "PERSISTENT",
        "mode": "READ_WRITE",
        "kind": "compute#attachedDisk",
        "boot": True,
        "initializeParams": {**initial, "sourceImage": source.json()["selfLink"]},
    }
    network = {"accessConfigs": [None], "network": "projects/demo/global/networks/default"}
    scopes = ["https://www.googleapis.com/auth/compute"]
    body = {
        "name": name,
        "description": "New instance created by Packer",
        "machineType": kind,
        "advancedMachineFeatures": {},
        "disks": [disk],
        "metadata": {"items": [{"key": "startup-script", "value": "true"}]},
        "networkInterfaces": [network],
        "scheduling": {"onHostMaintenance": "MIGRATE"},
        "serviceAccounts": [{"email": "default", "scopes": scopes}],
        "tags": {},
    }
    instant.do("POST", f"zones/{ZONE}/instances", body, alt="json", prettyPrint="false")
    assert instant.get(made)["networkInterfaces"][0]["networkIP"]
    assert "contents" in instant.get(f"{made}/serialPort")
    instant.do("DELETE", made)
    image = {
        "name": name,
        "family": name,
        "labels": {"baked-by": "packer"},
        "sourceType": "RAW",
        "sourceDisk": f"/compute/v1/projects/demo/zones/{ZONE}/disks/{name}",
        "shieldedInstanceInitialState": {},
    }
    instant.do("POST", "global/images", image)
    instant.do("POST", f"global/images/{name}/deprecate", {})
    found = instant.get(f"global/images/family/{name}")
    assert (found["status"], found["labels"]) == ("READY", {"baked-by": "packer"})
    instant.do("DELETE", f"zones/{ZONE}/disks/{name}")


@pytest.mark.parametrize("base", ["/compute/v2/", "/v1/", "/compute/v1/demo/", "//compute/v1/"])
def test_a_path_that_is_no_link_is_malformed(instant: Gce, name: str, base: str) -> None:
    source = f"{base}projects/demo/{DISKS}/x"
    body = {"name": name, "sourceDisk": source}
    message = instant.fails(400, "invalid", "POST", "global/images", body)
    assert message.endswith(f"'resource.sourceDisk': '{source}'. The URL is malformed.")


def test_an_empty_string_in_an_enum_or_a_link_means_unset(instant: Gce, name: str) -> None:
    body = instance(name)
    body["disks"][0] |= {"mode": "", "interface": "", "source": ""}
    body["disks"][0]["initializeParams"] |= {"sourceSnapshot": "", "diskType": ""}
    body["networkInterfaces"] = [{"network": "", "subnetwork": "", "nicType": "", "networkIP": ""}]
    body["scheduling"] = {"provisioningModel": "", "onHostMaintenance": ""}
    instant.do("POST", VMS, body)
    made = instant.instance(name)
    assert made["disks"][0]["mode"] == "READ_WRITE"
    assert made["networkInterfaces"][0]["network"].endswith("/global/networks/default")
    assert "nicType" not in made["networkInterfaces"][0]
    assert made["scheduling"]["provisioningModel"] == "STANDARD"
    instant.do("DELETE", f"{VMS}/{name}")


def test_an_empty_string_elsewhere_is_a_value(instant: Gce, name: str) -> None:
    body = instance(name, labels={"type": "", "network": ""}, description="")
    body["metadata"] = {"items": [{"key": "source", "value": ""}]}
    instant.do("POST", VMS, body)
    made = instant.instance(name)
    assert made["labels"] == {"type": "", "network": ""}
    assert made["metadata"]["items"] == [{"key": "source", "value": ""}]
    instant.do("DELETE", f"{VMS}/{name}")


@pytest.mark.parametrize("field", ["name", "machineType"])
def test_an_empty_required_field_is_refused(instant: Gce, name: str, field: str) -> None:
    response = instant.call("POST", VMS, {**instance(name), field: ""})
    assert response.status_code == 400
    assert f"resource.{field}" in response.json()["error"]["message"]


def test_a_firewall_is_patched_without_its_name(instant: Gce, name: str) -> None:
    rule, allowed = f"global/firewalls/{name}", [{"IPProtocol": "tcp"}]
    instant.do("POST", "global/firewalls", {"name": name, "allowed": allowed})
    instant.do("PATCH", rule, {"priority": 7, "network": "global/networks/default"})
    made = instant.get(rule)
    assert (made["name"], made["priority"], made["allowed"]) == (name, 7, allowed)
    path = "projects/demo/global/networks/default"
    assert made["network"] == f"https://www.googleapis.com/compute/v1/{path}"
    instant.do("PATCH", rule, {**made, "priority": 8})
    assert instant.get(rule)["priority"] == 8
    message = instant.fails(400, "invalid", "PATCH", rule, {"name": "another", "priority": 9})
    assert f"The URL names '{name}'." in message
    assert instant.get(rule)["priority"] == 8
    instant.do("DELETE", rule)


def test_a_name_that_the_url_does_not_hold_is_required(instant: Gce, name: str) -> None:
    instant.do("POST", DISKS, {"name": name, "sizeGb": "10"})
    message = instant.fails(400, "required", "POST", f"{DISKS}/{name}/createSnapshot", {})
    assert message == "Required field 'resource.name' not specified"
    instant.do("DELETE", f"{DISKS}/{name}")


def test_a_repeated_request_id_gives_the_same_operation(instant: Gce, name: str) -> None:
    request = str(uuid.uuid4())
    first = instant.start("POST", VMS, instance(name), requestId=request)
    again = instant.start("POST", VMS, instance(name), requestId=request)
    assert again["name"] == first["name"]
    assert again["clientOperationId"] == request
    instant.finish(first)
    instant.fails(409, "alreadyExists", "POST", VMS, instance(name), requestId=str(uuid.uuid4()))
    for bad in ("again", str(uuid.UUID(int=0))):
        instant.fails(400, "invalid", "POST", VMS, instance(f"{name}-2"), requestId=bad)
    instant.do("DELETE", f"{VMS}/{name}")


def test_fingerprints_guard_labels_and_metadata(instant: Gce, name: str) -> None:
    made = instant.create(name, labels={"a": "b"})
    stale = "AAAAAAAAAAA="
    labels = {"labels": {"c": "d"}, "labelFingerprint": stale}
    message = instant.fails(412, "conditionNotMet", "POST", f"{VMS}/{name}/setLabels", labels)
    assert message == "Labels fingerprint either invalid or resource labels have changed"
    labels["labelFingerprint"] = made["labelFingerprint"]
    instant.do("POST", f"{VMS}/{name}/setLabels", labels)
    assert instant.instance(name)["labels"] == {"c": "d"}
    instant.fails(412, "conditionNotMet", "POST", f"{VMS}/{name}/setLabels", labels)

    items = {"items": [{"key": "k", "value": "v"}]}
    wrong = {**items, "fingerprint": stale}
    instant.fails(412, "conditionNotMet", "POST", f"{VMS}/{name}/setMetadata", wrong)
    right = {**items, "fingerprint": made["metadata"]["fingerprint"]}
    instant.do("POST", f"{VMS}/{name}/setMetadata", right)
    assert instant.instance(name)["metadata"]["items"] == items["items"]
    instant.do("DELETE", f"{VMS}/{name}")


def test_lists_are_filtered_ordered_and_paged(instant: Gce, name: str) -> None:
    names = [f"{name}-{i}" for i in range(5)]
    for each in reversed(names):
        instant.do("POST", DISKS, {"name": each, "sizeGb": "1", "labels": {"of": name}})
    mine = f"labels.of={name}"
    first = instant.get(DISKS, filter=mine, maxResults=2)
    second = instant.get(DISKS, filter=mine, maxResults=2, pageToken=first["nextPageToken"])
    third = instant.get(DISKS, filter=mine, maxResults=2, pageToken=second["nextPageToken"])
    found = [d["name"] for page in (first, second, third) for d in page["items"]]
    assert found == names
    assert "nextPageToken" not in third
    newest = instant.items(DISKS, filter=mine, orderBy="creationTimestamp desc")
    assert [d["name"] for d in newest] == names
    by_pattern = instant.items(DISKS, filter=f"name eq '{name}-[12]'")
    assert [d["name"] for d in by_pattern] == names[1:3]
    only = instant.get(DISKS, filter=mine, fields="items(name,labels/of),kind")
    assert only["kind"] == "compute#diskList"
    assert only["items"][0] == {"name": names[0], "labels": {"of": name}}
    scopes = instant.get("aggregated/disks", filter=mine)["items"]
    assert len(scopes[f"zones/{ZONE}"]["disks"]) == 5
    assert scopes["zones/europe-west1-b"]["warning"]["code"] == "NO_RESULTS_ON_PAGE"
    for bad in ({"orderBy": "size"}, {"pageToken": "x"}, {"filter": "name="}, {"maxResults": 501}):
        assert instant.call("GET", DISKS, **bad).status_code == 400
    for each in names:
        instant.do("DELETE", f"{DISKS}/{each}")


def test_wait_holds_until_the_operation_is_done(instant: Gce, name: str) -> None:
    instant.admin("POST", "faults", {"kind": "slow", "resource": name, "seconds": 0.5})
    operation = instant.start("POST", DISKS, {"name": name, "sizeGb": "1"})
    assert operation["status"] != "DONE"
    done = instant.start("POST", f"zones/{ZONE}/operations/{operation['name']}/wait")
    assert done["status"] == "DONE"
    listed = instant.get("aggregated/operations", filter=f"name={operation['name']}")["items"]
    assert len(listed[f"zones/{ZONE}"]["operations"]) == 1
    instant.do("DELETE", f"{DISKS}/{name}")
    gone = instant.call("DELETE", f"zones/{ZONE}/operations/{operation['name']}")
    assert gone.status_code == 200
    instant.fails(404, "notFound", "GET", f"zones/{ZONE}/operations/{operation['name']}")


def test_responses_to_reads_have_an_etag(instant: Gce) -> None:
    path = f"{instant.root}/zones/{ZONE}"
    first = instant.http.get(path)
    tag = first.headers["etag"]
    again = instant.http.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    other = instant.http.get(f"{instant.root}/zones/us-central1-b", headers={"If-None-Match": tag})
    assert (other.status_code, other.headers["etag"] != tag) == (200, True)


@pytest.mark.parametrize(
    ("scope", "collection"),
    [(f"zones/{ZONE}", "disks"), ("regions/us-central1", "addresses"), ("global", "images")],
)
def test_operations_of_each_scope(instant: Gce, name: str, scope: str, collection: str) -> None:
    body = {"name": name}
    if collection == "images":
        body["sourceImage"] = DEBIAN
    instant.admin("POST", "faults", {"kind": "stuck", "resource": name})
    begun = instant.start("POST", f"{scope}/{collection}", body)
    path = f"{scope}/operations/{begun['name']}"
    assert begun["selfLink"].endswith(path)
    assert begun["operationType"] == "insert"
    assert instant.get(path)["status"] in {"PENDING", "RUNNING"}
    instant.fails(400, "badRequest", "DELETE", path)
    instant.admin("DELETE", "faults")
    done = instant.start("POST", f"{path}/wait")
    assert (done["status"], done["progress"]) == ("DONE", 100)
    listed = instant.items(f"{scope}/operations", filter=f"targetId={done['targetId']}")
    assert [operation["name"] for operation in listed] == [begun["name"]]
    assert instant.get(path) == instant.get(f"{scope}/operations/{done['id']}")  # by its number
    assert instant.call("DELETE", path).status_code == 200
    instant.fails(404, "notFound", "GET", path)
    instant.do("DELETE", f"{scope}/{collection}/{name}")


def test_many_requests_wait_at_a_time(instant: Gce, name: str) -> None:
    instant.admin("POST", "faults", {"kind": "slow", "resource": name, "seconds": 0.3})
    operation = instant.start("POST", DISKS, {"name": name, "sizeGb": "1"})
    done: list[str] = []

    def wait() -> None:
        path = f"zones/{ZONE}/operations/{operation['name']}/wait"
        with contextlib.closing(Gce(instant.base)) as client:
            done.append(client.start("POST", path)["status"])

    threads = [threading.Thread(target=wait) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(200)
    assert done == ["DONE"] * 8
    instant.do("DELETE", f"{DISKS}/{name}")


def test_project_metadata_and_the_fixed_resources(instant: Gce) -> None:
    project = instant.http.get(instant.root).json()
    assert project["name"] == "demo"
    items = [{"key": "colour", "value": "blue"}]
    common = project["commonInstanceMetadata"]
    body = {"items": items, "fingerprint": common["fingerprint"]}
    operation = instant.start("POST", "setCommonInstanceMetadata", body)
    assert instant.finish(operation)["targetLink"].endswith("/projects/demo")
    instant.fails(412, "conditionNotMet", "POST", "setCommonInstanceMetadata", body)
    changed = instant.http.get(instant.root).json()["commonInstanceMetadata"]
    assert changed["items"] == items
    assert {z["name"] for z in instant.items("zones")} >= {ZONE, "europe-west1-d"}
    assert instant.get("regions/us-central1")["zones"]
    assert instant.get(f"zones/{ZONE}/machineTypes/e2-custom-4-8192")["memoryMb"] == 8192
    assert instant.get(f"zones/{ZONE}/diskTypes/pd-ssd")["zone"].endswith(ZONE)
    assert instant.get("global/networks/default")["subnetworks"]
    assert instant.items("regions/us-central1/subnetworks")[0]["ipCidrRange"] == "10.128.0.0/20"
    instant.do("POST", "global/firewalls", {"name": "web", "allowed": [{"IPProtocol": "tcp"}]})
    assert instant.get("global/firewalls/web")["direction"] == "INGRESS"
    instant.do("DELETE", "global/firewalls/web")


def test_a_protected_or_busy_instance_is_not_deleted(instant: Gce, name: str) -> None:
    instant.create(name, deletionProtection=True)
    message = instant.fails(400, "invalidResourceUsage", "DELETE", f"{VMS}/{name}")
    assert "protected against deletion" in message


@pytest.mark.parametrize(
    ("way", "status", "illegal"),
    [
        ([], "RUNNING", ["resume"]),
        (["stop"], "TERMINATED", ["reset", "suspend", "resume"]),
        (["suspend"], "SUSPENDED", ["start", "reset", "suspend"]),
    ],
)
def test_illegal_state_changes_are_rejected(
    instant: Gce, name: str, way: list[str], status: str, illegal: list[str]
) -> None:
    path = f"{VMS}/{name}"
    instant.create(name)
    for verb in way:
        instant.do("POST", f"{path}/{verb}")
    assert instant.instance(name)["status"] == status
    for verb in illegal:
        message = instant.fails(400, "invalidResourceUsage", "POST", f"{path}/{verb}")
        assert status in message
    if status != "TERMINATED":
        kind = {"machineType": f"zones/{ZONE}/machineTypes/e2-medium"}
        instant.fails(400, "invalidResourceUsage", "POST", f"{path}/setMachineType", kind)
    instant.do("DELETE", path)


def test_an_instance_that_is_being_created_is_not_ready(instant: Gce, name: str) -> None:
    path = f"{VMS}/{name}"
    instant.admin("POST", "faults", {"kind": "stuck", "resource": name})
    instant.start("POST", VMS, instance(name))
    assert instant.instance(name)["status"] == "PROVISIONING"
    for verb in ("start", "stop", "reset", "suspend", "resume"):
        instant.fails(400, "resourceNotReady", "POST", f"{path}/{verb}")
    instant.do("DELETE", path)  # a deletion does not wait
    instant.fails(404, "notFound", "GET", path)
    assert instant.items(DISKS, filter=f"name={name}") == []


def test_two_deletions_at_a_time_both_succeed(instant: Gce, name: str) -> None:
    instant.create(name)
    instant.admin("POST", "faults", {"kind": "slow", "resource": name, "seconds": 0.2})
    both = [instant.start("DELETE", f"{VMS}/{name}") for _ in range(2)]
    assert ["error" in instant.finish(operation) for operation in both] == [False, False]
    instant.fails(404, "notFound", "GET", f"{VMS}/{name}")


def test_guest_attributes_need_to_be_enabled(instant: Gce, name: str) -> None:
    instant.create(name, metadata={"instant-script": "attribute a/b c"})
    instant.fails(404, "notFound", "GET", f"{VMS}/{name}/getGuestAttributes", queryPath="a/")
    output = instant.get(f"{VMS}/{name}/serialPort")
    assert "PermissionError" in output["contents"]
    assert instant.instance(name)["status"] == "RUNNING"
    instant.do("DELETE", f"{VMS}/{name}")


def test_guests_are_notified_of_changed_metadata(instant: Gce, name: str) -> None:
    made = instant.create(name, metadata={"instant-script": "watch"})
    fingerprint = made["metadata"]["fingerprint"]
    items = [{"key": "colour", "value": "red"}]
    body = {"items": items, "fingerprint": fingerprint}
    instant.do("POST", f"{VMS}/{name}/setMetadata", body)
    path = f"{VMS}/{name}/serialPort"
    instant.until(lambda: "changed red" in instant.get(path)["contents"])
    assert instant.instance(name)["metadata"]["items"] == items
    instant.do("DELETE", f"{VMS}/{name}")


def test_guest_attributes_beyond_the_rate_limit_are_dropped(instant: Gce, name: str) -> None:
    lines = "\n".join(f"attribute n/k{i} v" for i in range(20))
    instant.create(
        name, metadata={"enable-guest-attributes": "TRUE", "instant-script": f"{lines}\nserial end"}
    )
    path = f"{VMS}/{name}"
    instant.until(lambda: "end\n" in instant.get(f"{path}/serialPort")["contents"])
    found = instant.get(f"{path}/getGuestAttributes", queryPath="n/")["queryValue"]["items"]
    assert [item["key"] for item in found] == ["k0", "k1", "k2"]
    one = instant.get(f"{path}/getGuestAttributes", variableKey="n/k1")
    assert one["variableValue"] == "v"
    instant.do("DELETE", path)
