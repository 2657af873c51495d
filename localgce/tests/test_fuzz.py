"""No input causes a 500: generated bodies and queries, valid and invalid."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localgce.api.routing import TABLE
from localgce.core.operations import KINDS
from localgce.core.settings import Settings
from localgce.http.discovery import DOCUMENT, Discovery, Method
from localgce.machines.instant.host import InstantHost
from localgce.metadata.app import MetadataApp
from localgce.service import Service

from .gce import DEBIAN, ZONE, instance

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def examples(quick: int, long: int) -> pytest.MarkDecorator:
    """Runs a test with few examples, always the same, and with the marker fuzz_long with many."""
    marks = [pytest.mark.fuzz_long, pytest.mark.timeout(1200)]
    few = settings(max_examples=quick, deadline=None, derandomize=True)
    many = settings(max_examples=long, deadline=None)
    values = [pytest.param(few, id="quick"), pytest.param(many, id="long", marks=marks)]
    return pytest.mark.parametrize("size", values)


DISCOVERY = Discovery.load()
SCHEMAS: dict[str, Any] = json.loads(DOCUMENT.read_bytes())["schemas"]
METHODS = [m for name, m in DISCOVERY.methods.items() if name in TABLE]
TEXTS = st.sampled_from(
    [
        *("", "vm", "vm-2", "img", "x" * 64, "É", "-1", "0", "99999999999999999999", "true", "10"),
        *("READ_ONLY", "DEPRECATED", "SPOT", "2026-01-01", "127.0.0.1", "10.128.0.9", "1.2.3.4/8"),
        *(DEBIAN, "global/images/img", f"zones/{ZONE}/disks/vm", f"zones/{ZONE}/diskTypes/pd-ssd"),
        *(f"zones/{ZONE}/machineTypes/e2-small", "global/networks/default", "projects/x", "//"),
        *(f"zones/{ZONE}/instances/vm", "AAAAAAAAAAA=", "persistent-disk-0", "name eq x", "\x00"),
        *("creationTimestamp desc", "name", "name=vm", "items(name)", "fixed", "RUNNING"),
    ]
)
VALUES = st.one_of(TEXTS, st.integers(-(2**70), 2**70), st.booleans(), st.none(), st.floats())


def bodies(schema: dict[str, Any], depth: int = 0) -> st.SearchStrategy[Any]:
    """JSON that is mostly like the schema."""
    if "$ref" in schema:
        schema = SCHEMAS[schema["$ref"]]
    if depth > 4:
        return VALUES
    kind = schema.get("type")
    if kind == "object" and "properties" in schema:
        fields = {k: bodies(v, depth + 1) for k, v in _some(schema["properties"]).items()}
        return st.one_of(st.fixed_dictionaries({}, optional=fields), VALUES)
    if kind == "object":
        return st.dictionaries(TEXTS, VALUES, max_size=3)
    if kind == "array":
        return st.lists(bodies(schema["items"], depth + 1), max_size=3)
    if "enum" in schema:
        return st.one_of(st.sampled_from(schema["enum"]), TEXTS)
    if kind == "boolean":
        return st.booleans()
    return VALUES


def _some(properties: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in properties.items() if "ncryption" not in k and "onfidential" not in k}


@st.composite
def calls(draw: st.DrawFn, method: Method) -> tuple[str, str, str, bytes]:
    """A call of a method."""
    names = {"project": "demo", "zone": ZONE, "region": "us-central1"}
    subject = draw(st.sampled_from(["vm", "vm", "img", "none", "debian-12", "1234", "X"]))
    parts = [names.get(s[1:-1], subject) if s.startswith("{") else s for s in method.segments]
    query = {}
    for name in draw(st.sets(st.sampled_from([*method.query_parameters, "fields", "alt"]))):
        query[name] = draw(TEXTS)
    body: Any = None
    if method.request:
        body = draw(BODIES[method.request])
        if isinstance(body, dict) and draw(st.booleans()):  # few fields: more calls get far
            body = dict(list(body.items())[: draw(st.integers(0, 2))])
        if method.id == "compute.instances.insert" and isinstance(body, dict):
            body = {**instance("vm-2"), **body}
        if method.id in LIKELY and isinstance(body, dict):
            body = {**LIKELY[method.id], **body}
        names_it = method.verb == "insert" and isinstance(body, dict)
        if names_it and draw(st.integers(0, 9)):  # few without: they do not get far
            body.setdefault("name", draw(st.sampled_from(["vm-3", "vm-4"])))
    raw = b"" if body is None else json.dumps(body).encode()
    return method.http_method, "/".join(parts), urlencode(query), raw


GROUP = {"targetSize": 1, "instanceTemplate": "global/instanceTemplates/vm"}
ALL = {"instances": [f"zones/{ZONE}/instances/vm"]}
LIKELY: dict[str, Any] = {
    "compute.instanceGroupManagers.insert": GROUP,
    "compute.instanceGroupManagers.recreateInstances": ALL,
    "compute.instanceGroupManagers.deleteInstances": ALL,
    **{
        f"compute.instanceGroupManagers.{verb}Instances": ALL
        for verb in ("stop", "start", "suspend", "resume")
    },
    "compute.instances.attachDisk": {"source": f"zones/{ZONE}/disks/vm-2"},
    "compute.machineImages.insert": {"sourceInstance": f"zones/{ZONE}/instances/vm"},
    "compute.images.insert": {"sourceImage": DEBIAN},
    "compute.snapshots.insert": {"sourceDisk": f"zones/{ZONE}/disks/vm"},
}
BODIES = {m.request: bodies(SCHEMAS[m.request]) for m in METHODS if m.request}


class Runner:
    """A service with some resources, and an event loop for requests to it."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        host = InstantHost(folder)
        self.service = Service(Settings(folder, "demo", folder, 0.1), host)
        self.service.connect_guests(host)
        self.loop.run_until_complete(self.service.open())
        self.dispatcher = self.service.dispatcher(check_responses=True)
        vms = f"projects/demo/zones/{ZONE}/instances"
        for name in ("vm", "asks"):
            self.call("POST", vms, "", json.dumps(instance(name)).encode())
        image = {"name": "img", "sourceImage": DEBIAN, "family": "debian-12"}
        self.call("POST", "projects/demo/global/images", "", json.dumps(image).encode())
        properties = {k: v for k, v in instance("vm").items() if k != "name"}
        template = {"name": "vm", "properties": {**properties, "machineType": "e2-small"}}
        templates = "projects/demo/global/instanceTemplates"
        self.call("POST", templates, "", json.dumps(template).encode())
        reservation = {"name": "vm", "specificReservation": {"count": "1"}}
        reservations = f"projects/demo/zones/{ZONE}/reservations"
        self.call("POST", reservations, "", json.dumps(reservation).encode())
        for scope in (f"zones/{ZONE}", "regions/us-central1"):
            groups = f"projects/demo/{scope}/instanceGroupManagers"
            self.call("POST", groups, "", json.dumps({"name": "vm", **GROUP}).encode())

    def call(self, *call: Any) -> tuple[int, Any]:
        """The answer, operations let run."""

        async def run() -> tuple[int, Any]:
            answer = await self.dispatcher.answer(*call)
            for _ in range(10):
                await asyncio.sleep(0)
            return answer.status, answer.body

        return self.loop.run_until_complete(asyncio.wait_for(run(), 120))

    def close(self) -> None:
        """End."""
        self.loop.run_until_complete(self.service.close(0))
        self.loop.close()


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """One for all examples."""
    found = Runner(tmp_path_factory.mktemp("fuzz"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """A runner that gets no generated requests."""
    found = Runner(tmp_path_factory.mktemp("lists"))
    yield found
    found.close()


@examples(5, 60)
@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.id.removeprefix("compute."))
def test_no_request_causes_a_500(runner: Runner, method: Method, size: settings) -> None:
    @settings(size, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(call=calls(method))
    def check(call: tuple[str, str, str, bytes]) -> None:
        status, body = runner.call(*call)
        assert status < 500, body
        if status != 200:
            assert body["error"]["errors"][0]["reason"]

    check()
    seen = {
        request["method"] for request in runner.service.core.faults.requests if "method" in request
    }
    assert method.id in seen


@pytest.mark.parametrize(
    "method",
    # routers.getNatMappingInfo takes the parameters too, and tells of one router
    [m for m in METHODS if "orderBy" in m.query_parameters and "list" in m.id.lower()],
    ids=lambda m: m.id.removeprefix("compute."),
)
@pytest.mark.parametrize(
    "query",
    [
        {"orderBy": "creationTimestamp desc", "maxResults": "1"},
        {"orderBy": "name", "filter": "name:* AND id!=0"},
        {"filter": "name ne x", "fields": "items,nextPageToken"},
    ],
    ids=lambda query: "-".join(query),
)
def test_every_list_can_be_ordered_and_filtered(
    lists: Runner, method: Method, query: dict[str, str]
) -> None:
    names = {"project": "demo", "zone": ZONE, "region": "us-central1"}
    parts = [names.get(s[1:-1], "vm") if s.startswith("{") else s for s in method.segments]
    text = urlencode(query)
    if method.verb == "listManagedInstances":
        text = text.replace("items", "managedInstances")
    status, body = lists.call(method.http_method, "/".join(parts), text, b"")
    assert status == 200, body


NOT_NAMED = [
    *(b"", b"null", b"[]", b"[null]", b"7", b'"x"', b"{}", b'{"description": null}'),
    *(b'{"name": %s}' % name for name in (b"null", b"7", b'""', b'"A b"', b'["a"]', b'{"a": 1}')),
]


@pytest.mark.parametrize(
    "method", [m for m in METHODS if m.request], ids=lambda m: m.id.removeprefix("compute.")
)
def test_a_body_without_a_good_name_causes_no_500(lists: Runner, method: Method) -> None:
    names = {"project": "demo", "zone": ZONE, "region": "us-central1"}
    parts = [names.get(s[1:-1], "none") if s.startswith("{") else s for s in method.segments]
    for raw in NOT_NAMED:
        status, body = lists.call(method.http_method, "/".join(parts), "", raw)
        assert status < 500, (raw, body)
        assert method.verb != "insert" or status == 400, (raw, body)


@pytest.mark.parametrize(
    "method", [m for m in METHODS if m.verb == "insert"], ids=lambda m: m.resource
)
def test_an_insert_without_a_name_is_told_so(lists: Runner, method: Method) -> None:
    names = {"project": "demo", "zone": ZONE, "region": "us-central1"}
    parts = [names[s[1:-1]] if s.startswith("{") else s for s in method.segments]
    needed = {
        name: "x"
        for name, schema in SCHEMAS[str(method.request)]["properties"].items()
        if method.id in schema.get("annotations", {}).get("required", []) and name != "name"
    }
    body = json.dumps({**needed, "description": None}).encode()
    status, answer = lists.call(method.http_method, "/".join(parts), "", body)
    assert status == 400
    message = "Required field 'resource.name' not specified"
    assert answer["error"]["errors"][0] == {
        "message": message,
        "domain": "global",
        "reason": "required",
    }


PATHS = st.lists(
    st.one_of(
        st.sampled_from(["instance", "project", "attributes", "guest-attributes", "disks", "0"]),
        st.sampled_from(["service-accounts", "default", "token", "identity", "ns", "k", "", ".."]),
        st.text(max_size=5),
    ),
    max_size=6,
).map("/".join)
QUERIES = st.one_of(
    st.binary(max_size=20),
    st.dictionaries(
        st.sampled_from(["recursive", "alt", "last_etag", "timeout_sec", "audience", "format"]),
        st.sampled_from(["true", "json", "text", "0", "\r\nx: 1", "-1", "9" * 400, "1e9", "x", ""]),
    ).map(lambda query: urlencode(query).encode()),
)


@examples(100, 4000)
def test_no_request_of_a_guest_causes_a_500(runner: Runner, size: settings) -> None:
    @settings(size)
    @given(
        method=st.sampled_from(["GET", "PUT", "DELETE", "POST", "HEAD"]),
        path=PATHS,
        query=QUERIES,
        wait=st.booleans(),
        flavour=st.one_of(st.just(b"Google"), st.binary(max_size=5)),
        body=st.binary(max_size=20),
    )
    def check(
        method: str, path: str, query: bytes, wait: bool, flavour: bytes, body: bytes
    ) -> None:
        vm = runner.service.store.get("instances", "demo", f"zones/{ZONE}", "asks")
        assert vm is not None
        if wait:
            query += b"&wait_for_change=true&timeout_sec=0&last_etag="
        scope = {
            "type": "http",
            "method": method,
            "path": f"/computeMetadata/v1/{path}",
            "query_string": query,
            "headers": [(b"metadata-flavor", flavour)],
        }
        receive = AsyncMock(return_value={"type": "http.request", "body": body})
        send = AsyncMock()
        asking = MetadataApp(runner.service.core, runner.service.guest_attributes, vm.id)(
            scope, receive, send
        )
        runner.loop.run_until_complete(asyncio.wait_for(asking, 120))
        start = send.call_args_list[0].args[0]
        assert start["status"] < 500
        assert not [value for _, value in start["headers"] if {*b"\r\n"} & {*value}]

    check()


def spoil(body: Any, path: list[int], value: Any) -> Any:
    """The body with what lies at the path replaced."""
    if not path or not isinstance(body, (dict, list)) or not body:
        return value
    keys = list(body) if isinstance(body, dict) else list(range(len(body)))
    key = keys[path[0] % len(keys)]
    copy = body.copy()
    copy[key] = spoil(body[key], path[1:], value)
    return copy


FULL = instance(
    "vm-5",
    metadata={"enable-guest-attributes": "TRUE"},
    labels={"a": "b"},
    tags={"items": ["x"]},
    scheduling={"maxRunDuration": {"seconds": "60"}, "instanceTerminationAction": "STOP"},
    serviceAccounts=[{"email": "default", "scopes": ["https://s"]}],
    networkInterfaces=[{"network": "global/networks/default", "networkIP": "10.128.1.1"}],
)


@examples(100, 3000)
def test_no_corrupted_insert_causes_a_500(runner: Runner, size: settings) -> None:
    @settings(size)
    @given(path=st.lists(st.integers(0, 12), min_size=1, max_size=4), value=VALUES)
    def check(path: list[int], value: Any) -> None:
        body = json.dumps(spoil(FULL, path, value)).encode()
        vms = f"projects/demo/zones/{ZONE}/instances"
        status, answer = runner.call("POST", vms, "", body)
        assert status < 500, answer
        if status == 200:
            runner.call("DELETE", f"{vms}/{answer['targetLink'].rsplit('/', 1)[1]}", "", b"")

    check()


@examples(100, 3000)
def test_no_garbage_causes_a_500(runner: Runner, size: settings) -> None:
    @settings(size)
    @given(path=st.text(max_size=60), query=st.text(max_size=30), body=st.binary(max_size=60))
    def check(path: str, query: str, body: bytes) -> None:
        for method in ("GET", "POST"):
            assert runner.call(method, path, query, body)[0] < 500
        status, _ = runner.call("POST", f"projects/demo/zones/{ZONE}/disks", query, body)
        assert status < 500

    check()


def test_no_operation_ended_in_an_internal_error(runner: Runner) -> None:
    for record in [r for kind in KINDS for r in runner.service.store.all(kind)]:
        errors = record.body.get("error", {}).get("errors", [])
        assert not [e for e in errors if e["message"].startswith("Internal error")], record.body
