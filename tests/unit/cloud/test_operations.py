from __future__ import annotations

from bakehouse.cloud.operations import Ended, InstanceEvent, end_of, instance_events
from bakehouse.images.links import zone_of

DONE = {"name": "operation-1", "status": "DONE"}


def test_a_running_operation_has_no_verdict() -> None:
    assert end_of({"name": "operation-1", "status": "RUNNING"}) is None


def test_a_finished_one_tells_its_warnings() -> None:
    warned = {**DONE, "warnings": [{"code": "DEPRECATED_RESOURCE_USED", "message": "old image"}]}
    assert end_of(warned) == Ended("operation-1", None, ("old image",))


def test_done_covers_failure_too() -> None:
    failed = {**DONE, "error": {"errors": [{"code": "STOCKOUT", "message": "none left"}]}}
    ended = end_of(failed)
    assert ended is not None
    assert ended.failure is not None
    assert ended.failure.zone_unavailable


def test_the_zone_is_a_name_and_global_operations_have_none() -> None:
    link = "https://www.googleapis.com/compute/v1/projects/p/zones/us-central1-a"
    assert zone_of({"zone": link}) == "us-central1-a"
    assert zone_of(DONE) == ""


def test_what_happened_to_another_machine_is_no_news() -> None:
    base = "https://www.googleapis.com/compute/v1/projects/p/zones/z/instances"
    listed = [
        {**DONE, "operationType": "stop", "user": "jo@x.org", "targetLink": f"{base}/web-1"},
        {**DONE, "operationType": "delete", "targetLink": f"{base}/web-11"},
    ]
    assert instance_events(listed, "web-1") == (InstanceEvent("stop", "jo@x.org"),)
