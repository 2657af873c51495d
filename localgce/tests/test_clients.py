"""Google's client libraries."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import google.auth.credentials
import pytest
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.cloud import compute_v1
from googleapiclient import errors, http
from googleapiclient.discovery import build

from .gce import DEBIAN, ZONE, Gce, instance

HERE = {"project": "demo", "zone": ZONE}
Cloud = Callable[[Any], Any]
Anonymous = google.auth.credentials.AnonymousCredentials


@pytest.fixture(scope="module")
def rest(instant: Gce) -> Iterator[Any]:
    """google-api-python-client."""
    options = {"api_endpoint": f"{instant.base}/compute/v1/"}
    credentials = Anonymous()  # type: ignore[no-untyped-call]
    with build("compute", "v1", client_options=options, credentials=credentials) as client:
        yield client


@pytest.fixture
def cloud(instant: Gce) -> Iterator[Callable[[Any], Any]]:
    """Makes clients of google-cloud-compute."""
    options = ClientOptions(api_endpoint=instant.base)
    credentials = Anonymous()  # type: ignore[no-untyped-call]
    with contextlib.ExitStack() as stack:
        yield lambda kind: stack.enter_context(
            kind(client_options=options, credentials=credentials)
        )


def test_api_python_client(rest: Any, name: str) -> None:
    operation = rest.instances().insert(**HERE, body=instance(name)).execute()
    done = rest.zoneOperations().wait(**HERE, operation=operation["name"]).execute()
    assert done["status"] == "DONE"
    request = rest.instances().list(**HERE, filter=f"name={name}")
    assert [i["status"] for i in request.execute()["items"]] == ["RUNNING"]
    with pytest.raises(errors.HttpError) as caught:
        rest.instances().insert(**HERE, body=instance(name)).execute()
    assert caught.value.status_code == 409
    assert caught.value.error_details[0]["reason"] == "alreadyExists"
    rest.instances().delete(**HERE, instance=name).execute()


def test_api_python_client_pages(rest: Any, name: str) -> None:
    for number in range(3):
        body = {"name": f"{name}-{number}", "sizeGb": "1"}
        rest.disks().insert(**HERE, body=body).execute()
    request = rest.disks().list(**HERE, filter=f"name:{name}", maxResults=1)
    found = []
    while request is not None:
        page = request.execute()
        found += [disk["name"] for disk in page["items"]]
        request = rest.disks().list_next(request, page)
    assert found == [f"{name}-{number}" for number in range(3)]


def test_api_python_client_batches(instant: Gce, rest: Any, name: str) -> None:
    answers: dict[str, Any] = {}

    def note(request_id: str, response: Any, error: Any) -> None:
        answers[request_id] = error.status_code if error else response["name"]

    batch = http.BatchHttpRequest(callback=note, batch_uri=f"{instant.base}/batch/compute/v1")
    batch.add(rest.images().getFromFamily(project="debian-cloud", family="debian-12"))
    batch.add(rest.instances().get(**HERE, instance=name))
    batch.add(rest.disks().insert(**HERE, body={"name": name, "sizeGb": "1"}))
    batch.execute()
    assert answers["1"].startswith("debian-12-bookworm-v")
    assert answers["2"] == 404
    assert answers["3"].startswith("operation-")


def test_cloud_compute(cloud: Cloud, name: str) -> None:
    instances = cloud(compute_v1.InstancesClient)
    operations = cloud(compute_v1.ZoneOperationsClient)
    disk = compute_v1.AttachedDisk(
        boot=True,
        auto_delete=True,
        initialize_params=compute_v1.AttachedDiskInitializeParams(source_image=DEBIAN),
    )
    body = compute_v1.Instance(
        name=name,
        machine_type=f"zones/{ZONE}/machineTypes/e2-small",
        disks=[disk],
        network_interfaces=[compute_v1.NetworkInterface(network="global/networks/default")],
        labels={"of": name},
    )
    operation = instances.insert_unary(**HERE, instance_resource=body)
    done = operations.wait(**HERE, operation=operation.name)
    assert done.status == compute_v1.Operation.Status.DONE
    made = instances.get(**HERE, instance=name)
    assert (made.status, made.id > 0) == ("RUNNING", True)
    request = compute_v1.ListInstancesRequest(**HERE, filter=f"labels.of={name}", max_results=1)
    assert [found.name for found in instances.list(request)] == [name]
    scopes = dict(instances.aggregated_list(project="demo"))
    assert name in {found.name for found in scopes[f"zones/{ZONE}"].instances}


def test_cloud_compute_bakes_an_image(cloud: Cloud, name: str) -> None:
    images = cloud(compute_v1.ImagesClient)
    disks = cloud(compute_v1.DisksClient)
    zonal = cloud(compute_v1.ZoneOperationsClient)
    everywhere = cloud(compute_v1.GlobalOperationsClient)
    disk = compute_v1.Disk(name=name, source_image=DEBIAN)
    operation = disks.insert_unary(**HERE, disk_resource=disk)
    assert not zonal.wait(**HERE, operation=operation.name).error.errors
    source = f"zones/{ZONE}/disks/{name}"
    image = compute_v1.Image(name=name, family=name, source_disk=source, labels={"a": "b"})
    operation = images.insert_unary(project="demo", image_resource=image)
    assert not everywhere.wait(project="demo", operation=operation.name).error.errors
    newest = images.get_from_family(project="demo", family=name)
    assert (newest.name, newest.status, dict(newest.labels)) == (name, "READY", {"a": "b"})
    request = compute_v1.ListImagesRequest(project="demo", filter=f"family={name}")
    assert [found.id for found in images.list(request)] == [newest.id]
    old = compute_v1.DeprecationStatus(state="OBSOLETE")
    operation = images.deprecate_unary(project="demo", image=name, deprecation_status_resource=old)
    everywhere.wait(project="demo", operation=operation.name)
    with pytest.raises(exceptions.NotFound):
        images.get_from_family(project="demo", family=name)


def test_cloud_compute_rolls_out_a_group(cloud: Cloud, instant: Gce, name: str) -> None:
    templates = cloud(compute_v1.InstanceTemplatesClient)
    groups = cloud(compute_v1.InstanceGroupManagersClient)
    zonal = cloud(compute_v1.ZoneOperationsClient)
    body = instance(name)
    del body["name"]
    properties = compute_v1.InstanceProperties.from_json(
        json.dumps({**body, "machineType": "e2-small"})
    )
    for each in (name, f"{name}-2"):
        template = compute_v1.InstanceTemplate(name=each, properties=properties)
        templates.insert_unary(project="demo", instance_template_resource=template)
    group = compute_v1.InstanceGroupManager(
        name=name, target_size=2, instance_template=f"global/instanceTemplates/{name}"
    )
    operation = groups.insert_unary(**HERE, instance_group_manager_resource=group)
    zonal.wait(**HERE, operation=operation.name)

    def now() -> Any:
        return groups.get(**HERE, instance_group_manager=name)

    instant.until(lambda: now().status.is_stable)
    changes = compute_v1.InstanceGroupManager(
        versions=[{"instance_template": f"global/instanceTemplates/{name}-2"}],
        update_policy={"type_": "PROACTIVE", "max_surge": {"percent": 50}},
    )
    operation = groups.patch_unary(
        **HERE, instance_group_manager=name, instance_group_manager_resource=changes
    )
    zonal.wait(**HERE, operation=operation.name)
    instant.until(lambda: now().status.version_target.is_reached and now().status.is_stable)
    assert now().update_policy.max_surge.calculated == 1
    found = groups.list_managed_instances(**HERE, instance_group_manager=name)
    assert {m.version.instance_template.rsplit("/", 1)[1] for m in found} == {f"{name}-2"}
    operation = groups.delete_unary(**HERE, instance_group_manager=name)
    assert not zonal.wait(**HERE, operation=operation.name).error.errors


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (429, "rateLimitExceeded", exceptions.TooManyRequests),
        (403, "rateLimitExceeded", exceptions.Forbidden),
        (500, "internalError", exceptions.InternalServerError),
    ],
)
def test_cloud_compute_raises_its_errors_for_faults(
    cloud: Cloud, instant: Gce, name: str, status: int, reason: str, expected: type[Exception]
) -> None:
    disks = cloud(compute_v1.DisksClient)
    rule = {"kind": "http", "method": "compute.disks.insert", "resource": name, "status": status}
    instant.admin("POST", "faults", {**rule, "reason": reason, "when": "after"})
    body = compute_v1.Disk(name=name, size_gb=1)
    with pytest.raises(expected) as caught:
        disks.insert_unary(**HERE, disk_resource=body)
    assert caught.value.errors[0]["reason"] == reason  # type: ignore[attr-defined]
    assert disks.get(**HERE, disk=name).name == name  # the effect was there, only the answer not


def test_cloud_compute_maps_errors(cloud: Cloud, instant: Gce, name: str) -> None:
    instances = cloud(compute_v1.InstancesClient)
    with pytest.raises(exceptions.NotFound) as missing:
        instances.get(**HERE, instance=name)
    assert missing.value.errors[0]["reason"] == "notFound"
    rule = {"kind": "http", "method": "compute.instances.get", "resource": name, "status": 503}
    instant.admin("POST", "faults", rule)
    with pytest.raises(exceptions.NotFound):
        instances.get(**HERE, instance=name)  # a read is tried again after a 503
    rule = {"kind": "http", "method": "compute.instances.stop", "status": 403}
    instant.admin("POST", "faults", {**rule, "reason": "quotaExceeded"})
    with pytest.raises(exceptions.Forbidden):
        instances.stop_unary(**HERE, instance=name)


def test_a_failed_operation_fails_in_cloud_compute(cloud: Cloud, instant: Gce, name: str) -> None:
    disks = cloud(compute_v1.DisksClient)
    services = disks.transport._extended_operations_services
    services["zone_operations"] = cloud(compute_v1.ZoneOperationsClient)
    rule = {"kind": "operation", "resource": name, "code": "QUOTA_EXCEEDED", "status": 403}
    instant.admin("POST", "faults", rule)
    body = compute_v1.Disk(name=name, size_gb=1)
    with pytest.raises(exceptions.Forbidden):
        disks.insert(**HERE, disk_resource=body).result(timeout=300)
    disks.insert(**HERE, disk_resource=body).result(timeout=300)
    assert disks.get(**HERE, disk=name).status == "READY"
