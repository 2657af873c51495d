"""Google's own clients as judges."""

from __future__ import annotations

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
Anonymous = google.auth.credentials.AnonymousCredentials


@pytest.fixture(scope="module")
def rest(instant: Gce) -> Any:
    """google-api-python-client."""
    options = {"api_endpoint": f"{instant.base}/compute/v1/"}
    credentials = Anonymous()  # type: ignore[no-untyped-call]
    return build("compute", "v1", client_options=options, credentials=credentials)


def cloud(instant: Gce, kind: Any) -> Any:
    """A client of google-cloud-compute."""
    options = ClientOptions(api_endpoint=instant.base)
    credentials = Anonymous()  # type: ignore[no-untyped-call]
    return kind(client_options=options, credentials=credentials)


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


def test_cloud_compute(instant: Gce, name: str) -> None:
    instances = cloud(instant, compute_v1.InstancesClient)
    operations = cloud(instant, compute_v1.ZoneOperationsClient)
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


def test_cloud_compute_maps_errors(instant: Gce, name: str) -> None:
    instances = cloud(instant, compute_v1.InstancesClient)
    with pytest.raises(exceptions.NotFound) as missing:
        instances.get(**HERE, instance=name)
    assert missing.value.errors[0]["reason"] == "notFound"
    rule = {"kind": "http", "method": "compute.instances.get", "resource": name, "status": 503}
    instant.control("POST", "faults", rule)
    with pytest.raises(exceptions.NotFound):
        instances.get(**HERE, instance=name)  # a read is tried again after a 503
    rule = {"kind": "http", "method": "compute.instances.stop", "status": 403}
    instant.control("POST", "faults", {**rule, "reason": "quotaExceeded"})
    with pytest.raises(exceptions.Forbidden):
        instances.stop_unary(**HERE, instance=name)


def test_a_failed_operation_is_a_failure_to_cloud_compute(instant: Gce, name: str) -> None:
    disks = cloud(instant, compute_v1.DisksClient)
    services = disks.transport._extended_operations_services
    services["zone_operations"] = cloud(instant, compute_v1.ZoneOperationsClient)
    rule = {"kind": "operation", "resource": name, "code": "QUOTA_EXCEEDED", "status": 403}
    instant.control("POST", "faults", rule)
    body = compute_v1.Disk(name=name, size_gb=1)
    with pytest.raises(exceptions.Forbidden):
        disks.insert(**HERE, disk_resource=body).result(timeout=30)
    disks.insert(**HERE, disk_resource=body).result(timeout=30)
    assert disks.get(**HERE, disk=name).status == "READY"
