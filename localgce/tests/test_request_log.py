"""The log of requests: the last ones whole, of all their number."""

from __future__ import annotations

from localgce.core.request_log import RequestLog


def test_requests_that_are_not_kept_any_more_are_counted() -> None:
    log = RequestLog(kept=2)
    for number in range(3):
        log.append({"method": "compute.disks.get", "resource": f"d{number}"})
    log.append({"method": "compute.disks.list", "resource": None})
    assert [request["resource"] for request in log] == ["d2", None]
    assert log.counts() == {"compute.disks.get": 3, "compute.disks.list": 1}


def test_a_log_that_was_cleared_counts_from_0() -> None:
    log = RequestLog()
    log.append({"method": "compute.disks.get"})
    log.clear()
    log.append({"method": "compute.disks.list"})
    assert log.counts() == {"compute.disks.list": 1}
    assert len(list(log)) == 1
