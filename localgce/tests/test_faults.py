"""Fault injection, as the README describes it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from .gce import ZONE, Gce, instance

if TYPE_CHECKING:
    from collections.abc import Iterator

VMS = f"zones/{ZONE}/instances"
DISKS = f"zones/{ZONE}/disks"


@pytest.fixture
def gce(instant: Gce) -> Iterator[Gce]:
    """The session's server, its faults cleared before and after."""
    instant.admin("DELETE", "faults")
    instant.admin("DELETE", "requests")
    yield instant
    instant.admin("DELETE", "faults")


def fault(gce: Gce, **rule: Any) -> None:
    """One rule."""
    gce.admin("POST", "faults", rule)


def test_only_the_nth_request_fails(gce: Gce, name: str) -> None:
    fault(gce, kind="http", method="compute.disks.get", nth=2, status=503)
    gce.do("POST", DISKS, {"name": name, "sizeGb": "1"})
    answers = [gce.call("GET", f"{DISKS}/{name}").status_code for _ in range(3)]
    assert answers == [200, 503, 200]
    shown = gce.admin("GET", "faults")["faults"][0]
    assert (shown["seen"], shown["hits"]) == (3, 1)
    gce.do("DELETE", f"{DISKS}/{name}")


@pytest.mark.parametrize(("when", "there"), [("before", 404), ("after", 200)])
def test_a_fault_before_the_effect_prevents_it_and_one_after_loses_the_response(
    gce: Gce, name: str, when: str, there: int
) -> None:
    fault(gce, kind="http", method="compute.disks.insert", when=when, status=500)
    assert gce.call("POST", DISKS, {"name": name, "sizeGb": "1"}).status_code == 500
    assert gce.call("GET", f"{DISKS}/{name}").status_code == there


def test_a_lost_response_is_recovered_by_the_request_id(gce: Gce, name: str) -> None:
    fault(gce, kind="reset", method="compute.instances.insert", when="after")
    request = str(uuid.uuid4())
    with pytest.raises(httpx.TransportError):
        gce.call("POST", VMS, instance(name), requestId=request)
    gce.do("POST", VMS, instance(name), requestId=request)
    assert gce.instance(name)["status"] == "RUNNING"
    gce.do("DELETE", f"{VMS}/{name}")


def test_a_silent_request_is_never_answered(gce: Gce) -> None:
    fault(gce, kind="silence", method="compute.zones.list")
    with (
        httpx.Client(base_url=gce.base, timeout=0.3) as impatient,
        pytest.raises(httpx.ReadTimeout),
    ):
        impatient.get(f"{gce.root}/zones")
    assert gce.call("GET", "zones").status_code == 200


def test_a_stock_out_is_reported_in_both_forms_and_leaves_nothing(gce: Gce, name: str) -> None:
    code = "ZONE_RESOURCE_POOL_EXHAUSTED"
    fault(gce, kind="operation", method="compute.instances.insert", code=code, status=503)
    done = gce.finish(gce.start("POST", VMS, instance(name)))
    assert done["error"]["errors"][0]["code"] == code
    assert done["httpErrorStatusCode"] == 503
    assert done["httpErrorMessage"] == "SERVICE UNAVAILABLE"
    gce.fails(404, "notFound", "GET", f"{VMS}/{name}")
    gce.fails(404, "notFound", "GET", f"{DISKS}/{name}")
    gce.do("POST", VMS, instance(name))
    gce.do("DELETE", f"{VMS}/{name}")


def test_a_stuck_operation_continues_when_faults_are_cleared(gce: Gce, name: str) -> None:
    fault(gce, kind="stuck", method="compute.disks.insert")
    operation = gce.start("POST", DISKS, {"name": name, "sizeGb": "1"})
    path = f"zones/{ZONE}/operations/{operation['name']}"
    assert gce.get(path)["status"] != "DONE"
    gce.admin("DELETE", "faults")
    assert gce.finish(operation)["status"] == "DONE"
    gce.do("DELETE", f"{DISKS}/{name}")


def test_a_stuck_insert_can_be_deleted(gce: Gce, name: str) -> None:
    fault(gce, kind="stuck", method="compute.instances.insert")
    operation = gce.start("POST", VMS, instance(name))
    gce.do("DELETE", f"{VMS}/{name}")
    ended = gce.finish(operation)
    assert ended["error"]["errors"][0]["code"] == "OPERATION_CANCELED_BY_USER"
    gce.fails(404, "notFound", "GET", f"{VMS}/{name}")
    gce.fails(404, "notFound", "GET", f"{DISKS}/{name}")


def test_a_killed_machine_is_terminated_with_a_system_operation(gce: Gce, name: str) -> None:
    made = gce.create(name)
    fault(gce, kind="kill", instance=name)
    gce.until(lambda: gce.instance(name)["status"] == "TERMINATED")
    system = gce.items(f"zones/{ZONE}/operations", filter=f"targetId={made['id']}")
    assert "compute.instances.hostError" in {op["operationType"] for op in system}
    gce.do("DELETE", f"{VMS}/{name}")


def test_a_host_error_restarts_instances_with_automatic_restart(gce: Gce, name: str) -> None:
    gce.create(name, metadata={"instant-script": ""})
    fault(gce, kind="host_error", instance=name)
    path = f"{VMS}/{name}/serialPort"
    gce.until(lambda: gce.get(path)["contents"].count("login:") == 2)
    assert gce.instance(name)["status"] == "RUNNING"
    gce.do("DELETE", f"{VMS}/{name}")


@pytest.mark.parametrize("action", ["STOP", "DELETE"])
def test_spot_machines_are_preempted(gce: Gce, name: str, action: str) -> None:
    spot = {"provisioningModel": "SPOT", "instanceTerminationAction": action}
    made = gce.create(name, scheduling=spot)
    assert made["scheduling"]["automaticRestart"] is False
    fault(gce, kind="preempt", instance=name)
    if action == "STOP":
        gce.until(lambda: gce.instance(name)["status"] == "TERMINATED")
    else:
        gce.until(lambda: gce.call("GET", f"{VMS}/{name}").status_code == 404)
    system = gce.items(
        f"zones/{ZONE}/operations", filter='operationType="compute.instances.preempted"'
    )
    assert made["id"] in {operation["targetId"] for operation in system}


def test_a_frozen_guest_does_nothing_until_it_is_thawed(gce: Gce, name: str) -> None:
    gce.create(name, metadata={"instant-script": "watch"})
    path = f"{VMS}/{name}/serialPort"
    gce.until(lambda: "login:" in gce.get(path)["contents"])
    fault(gce, kind="freeze", instance=name)
    fingerprint = gce.instance(name)["metadata"]["fingerprint"]
    items = [{"key": "colour", "value": "red"}]
    gce.do("POST", f"{VMS}/{name}/setMetadata", {"items": items, "fingerprint": fingerprint})
    assert "changed" not in gce.get(path)["contents"]
    assert gce.instance(name)["status"] == "RUNNING"
    fault(gce, kind="thaw", instance=name)
    gce.until(lambda: "changed red" in gce.get(path)["contents"])
    gce.do("DELETE", f"{VMS}/{name}")


def test_guest_attributes_of_stopped_machines_can_be_denied(gce: Gce, name: str) -> None:
    script = "attribute a/b c\npoweroff"
    gce.create(name, metadata={"enable-guest-attributes": "TRUE", "instant-script": script})
    gce.until(lambda: gce.instance(name)["status"] == "TERMINATED")
    path = f"{VMS}/{name}/getGuestAttributes"
    assert gce.call("GET", path, queryPath="a/").status_code == 200
    fault(gce, kind="deny_guest_attributes")
    gce.fails(404, "notFound", "GET", path, queryPath="a/")
    gce.do("DELETE", f"{VMS}/{name}")


def test_a_rule_counts_from_the_first_request_of_another_method_on(gce: Gce, name: str) -> None:
    fault(gce, kind="http", method="compute.disks.get", since="compute.disks.insert", nth=2)
    assert gce.call("GET", f"{DISKS}/{name}").status_code == 404
    gce.do("POST", DISKS, {"name": name, "sizeGb": "1"})
    seen = [gce.call("GET", f"{DISKS}/{name}").status_code for _ in range(3)]
    assert seen == [200, 503, 200]
    gce.admin("DELETE", "faults")
    gce.do("DELETE", f"{DISKS}/{name}")


def test_requests_are_logged(gce: Gce, name: str) -> None:
    gce.do("POST", DISKS, {"name": name, "sizeGb": "1"})
    gce.get(DISKS, filter=f"name={name}")
    gce.call("GET", f"{DISKS}/nothing")
    told = gce.admin("GET", "requests")
    calls = told["requests"]
    assert sum(told["counts"].values()) == len(calls)
    assert told["counts"]["compute.disks.get"] == sum(
        c["method"] == "compute.disks.get" for c in calls
    )
    seen = [(c["method"], c["resource"], c["status"]) for c in calls]
    assert ("compute.disks.insert", name, 200) in seen
    assert ("compute.disks.list", None, 200) in seen
    assert ("compute.disks.get", "nothing", 404) in seen
    gce.do("DELETE", f"{DISKS}/{name}")


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "nonsense"},
        {"kind": "http", "status": "503"},
        {"kind": "http", "what": 1},
        {"kind": "http", "when": "during"},
        "text",
    ],
)
def test_an_invalid_fault_is_rejected(gce: Gce, rule: object) -> None:
    assert gce.http.post("/_localgce/faults", json=rule).status_code == 400
