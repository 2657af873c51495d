"""Routing and validation by the discovery document; the table of implemented methods."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from localgce import coverage
from localgce.api.method import method
from localgce.api.routing import TABLE
from localgce.core.errors import ApiError
from localgce.http.discovery import DOCUMENT, Discovery, Method
from localgce.http.schema import references

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture(scope="module")
def discovery() -> Discovery:
    """The installed document."""
    return Discovery.load()


@pytest.mark.parametrize(
    ("call", "method"),
    [
        ("GET projects/p/zones/z/instances/i", "compute.instances.get"),
        ("POST projects/p/zones/z/instances/i/setLabels", "compute.instances.setLabels"),
        ("GET projects/p/global/images/family/f", "compute.images.getFromFamily"),
        ("GET projects/p/global/images/family", "compute.images.get"),
        ("GET projects/p/aggregated/instances", "compute.instances.aggregatedList"),
        ("GET projects/p", "compute.projects.get"),
        ("POST projects/p/zones/z/operations/o/wait", "compute.zoneOperations.wait"),
    ],
)
def test_routes(discovery: Discovery, call: str, method: str) -> None:
    found = discovery.match(*call.split(" "))
    assert found is not None
    assert found[0].id == method


def test_every_method_routes_to_itself(discovery: Discovery) -> None:
    for own in discovery.methods.values():
        path = "/".join(_segment(own, s) for s in own.segments)
        found = discovery.match(own.http_method, path)
        assert found is not None
        assert found[0] is own


def _segment(method: Method, segment: str) -> str:
    """A value that the parameter's pattern allows."""
    parameter = method.path_parameters.get(segment[1:-1])
    if not segment.startswith("{"):
        return segment
    if parameter is None or parameter.pattern is None:
        return "a1"
    return next(v for v in ("a1", "1", "x/1") if parameter.pattern.fullmatch(v))


def test_paths_that_match_no_pattern_are_rejected(discovery: Discovery) -> None:
    with pytest.raises(ApiError, match="Must be a match of regex"):
        discovery.match("GET", "projects/p/zones/z/instances/Bad_Name")
    assert discovery.match("GET", "projects/p/nothing/at/all") is None


def test_requests_are_validated_by_method(discovery: Discovery) -> None:
    insert = discovery.methods["compute.instances.insert"]
    set_metadata = discovery.methods["compute.instances.setMetadata"]
    validator = discovery.request_validator(insert)
    assert validator is not None
    with pytest.raises(ApiError, match=r"Required field 'resource.name' not specified"):
        validator.check({})
    other = discovery.request_validator(set_metadata)
    assert other is not None
    other.check({"items": []})
    assert validator.normalise({"name": "a", "disks": [{"diskSizeGb": 7}]})["disks"] == [
        {"diskSizeGb": "7"}
    ]


def test_responses_need_64_bit_numbers_as_strings(discovery: Discovery) -> None:
    validator = discovery.response_validator(discovery.methods["compute.instances.get"])
    assert validator is not None
    validator.check({"id": "1"})
    with pytest.raises(ApiError, match=r"resource\.id"):
        validator.check({"id": 1})


def test_every_handler_is_a_method_of_the_api(discovery: Discovery) -> None:
    assert set(TABLE) <= set(discovery.methods)


def test_a_method_cannot_have_two_handlers() -> None:
    with pytest.raises(ValueError, match=r"compute\.disks\.get has two handlers"):
        method("compute.disks.get")(TABLE["compute.disks.list"])


def test_the_readme_shows_the_implemented_methods() -> None:
    shown = README.read_text().split("<!-- coverage -->\n")[1].split("<!-- /coverage -->")[0]
    assert shown == coverage.table()


def test_the_document_says_which_fields_hold_links() -> None:
    found = references(json.loads(DOCUMENT.read_text(encoding="utf-8"))["schemas"])
    every = "network subnetwork machineType diskType source sourceImage sourceSnapshot sourceDisk"
    rarer = "instanceTemplate healthCheck resourcePolicies licenses nextHopGateway replacement"
    assert set(f"{every} {rarer} nextHopInstance acceleratorType".split()) <= found
    assert not {"name", "description", "value", "status", "kind", "email", "tags"} & found
