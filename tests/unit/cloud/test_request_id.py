"""The ids of requests: one for each outcome of a step."""

from __future__ import annotations

from bakehouse.cloud.request_id import RequestIds, request_id


def test_a_step_keeps_its_id_until_its_outcome_is_known() -> None:
    ids = RequestIds("run", "web-1/forward/disk", "1.0")
    first = ids.of("stop")
    assert ids.of("stop") == first
    ids.settle()
    second = ids.of("stop")
    assert second != first
    assert RequestIds("run", "web-1/forward/disk", "1.0").of("stop") == first


def test_what_is_known_of_one_step_changes_the_ids_of_no_other() -> None:
    ids = RequestIds("run", "web-1", "1.0")
    attach, disk = ids.of("attach"), ids.of("insert", "data")
    ids.of("insert")
    ids.settle()
    assert (ids.of("attach"), ids.of("insert", "data")) == (attach, disk)
    assert ids.of("insert", "data") == disk
    ids.settle()
    assert ids.of("attach") == attach
    assert ids.of("insert", "data") != disk


def test_who_knows_an_outcome_twice_counts_it_once() -> None:
    ids = RequestIds("run", "web-1", "1.0")
    ids.of("stop")
    ids.settle()
    once = ids.of("stop")
    ids = RequestIds("run", "web-1", "1.0")
    ids.of("stop")
    ids.settle()
    ids.settle()
    assert ids.of("stop") == once


def test_the_first_ids_are_those_of_a_rollout_that_an_older_version_has_begun() -> None:
    ids = RequestIds("run", "web-1/forward/disk", "1.0")
    assert ids.of("stop") == request_id("run", "web-1/forward/disk", "stop 1.0 0")
    whole = request_id("run", "web-1/forward/disk", "insert 1.0 0")
    assert ids.of("insert", "data") == request_id(whole, "data", "")
