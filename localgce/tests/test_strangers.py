"""What a web page in a browser on this machine can send, and what is refused of it."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from localgce.core.errors import ApiError
from localgce.http.guard import check_headers

from .gce import ZONE, instance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .gce import Gce

Header = tuple[str, str]
PORT = "8790"
JSON = ("content-type", "application/json")
PAGES = ("/compute/v1/projects/demo/zones", "/_localgce/faults", "/_localgce/requests", "/x")


def check(*headers: Header, batch: bool = False) -> None:
    check_headers([(n.encode(), v.encode("latin-1")) for n, v in headers], batch=batch)


def refused(*headers: Header, batch: bool = False) -> ApiError:
    with pytest.raises(ApiError) as caught:
        check(*headers, batch=batch)
    return caught.value


def sent(gce: Gce, method: str, path: str, headers: Sequence[Header], body: bytes = b"") -> int:
    """The status of a request with these headers and no others."""
    connection = http.client.HTTPConnection(urlsplit(gce.base).netloc, timeout=60)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in headers:
        connection.putheader(name, value)
    if body:
        connection.putheader("content-length", str(len(body)))
    connection.endheaders(body or None)
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:8790", "localhost:8790", "LocalHost:8790", "[::1]:8790", "127.0.0.1", "localhost"],
)
def test_its_own_names_are_answered(host: str) -> None:
    check(("host", host))
    check(("host", host), ("origin", f"http://{host}"), ("sec-fetch-site", "same-origin"))


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:8790",
        "127.0.0.1.evil.example",
        "localhost.evil.example:8790",
        "localhost.:8790",
        "127.0.0.1.:8790",
        "0.0.0.0:8790",
        "127.1:8790",
        "2130706433",
        "0x7f000001",
        "[::]:8790",
        "[::ffff:127.0.0.1]:8790",
        "169.254.0.1:8790",
        "user@127.0.0.1:8790",
        "127.0.0.1:8790@evil.example",
        "127.0.0.1:port",
        "127.0.0.1:",
        "127.0.0.1, evil.example",
        "localhost\\evil.example",
        "l\u00f6calhost",
        "",
    ],
)
def test_another_host_is_refused(host: str) -> None:
    error = refused(("host", host))
    assert (error.status, error.reason, error.location) == (403, "forbidden", "Host")


def test_a_request_names_its_host_once() -> None:
    assert refused().status == 403
    assert refused(("host", "localhost"), ("host", "localhost")).status == 403
    assert refused(("host", "localhost"), ("host", "evil.example")).status == 403


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://evil.example:8790",
        "http://127.0.0.1:3000",  # another server of this machine
        "http://localhost:8790",  # is not 127.0.0.1 for a browser
        "https://127.0.0.1:8790",
        "http://127.0.0.1",
        "null",  # of a file, or of a sandboxed frame
        "",
    ],
)
def test_another_origin_is_refused(origin: str) -> None:
    error = refused(("host", f"127.0.0.1:{PORT}"), ("origin", origin))
    assert (error.status, error.location) == (403, "Origin")


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "Cross-Site"])
def test_an_image_or_a_link_of_another_site_is_refused(site: str) -> None:
    error = refused(("host", "localhost"), ("sec-fetch-site", site))
    assert (error.status, error.location) == (403, "Sec-Fetch-Site")
    check(("host", "localhost"), ("sec-fetch-site", "none"))  # typed by the user


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON;charset=UTF-8",
    ],
)
def test_a_body_is_json(kind: str) -> None:
    check(("host", "localhost"), ("content-type", kind), ("content-length", "2"))


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "multipart/mixed; boundary=x",
        "text/plain; application/json",
        "application/jsonp",
        "application/json, text/plain",
        "",
    ],
)
def test_another_body_is_refused(kind: str) -> None:
    host = ("host", "localhost")
    assert refused(host, ("content-type", kind), ("content-length", "2")).status == 415
    assert refused(host, ("content-type", kind), ("transfer-encoding", "chunked")).status == 415
    assert refused(host, ("content-length", "2")).status == 415
    twice = (JSON, ("content-type", kind))
    assert refused(host, *twice, ("content-length", "2")).status == 415
    check(host, ("content-type", kind))  # without a body
    check(host, ("content-type", kind), ("content-length", "0"))


def test_a_batch_is_multipart() -> None:
    head = (("host", "localhost"), ("content-length", "9"))
    check(*head, ("content-type", "multipart/mixed; boundary=x"), batch=True)
    assert refused(*head, JSON, batch=True).status == 415


@pytest.mark.parametrize("path", [*PAGES, "/batch/compute/v1"])
def test_no_page_of_the_server_answers_a_stranger(instant: Gce, path: str) -> None:
    own = urlsplit(instant.base).netloc
    method = "POST" if path.startswith("/batch") else "GET"
    for headers in (
        [("host", "evil.example")],
        [("host", own), ("host", own)],
        [("host", own), ("origin", "http://evil.example")],
        [("host", own), ("sec-fetch-site", "cross-site")],
        [],
    ):
        # the HTTP server itself answers 400 to a request without a host, or with two of them
        assert sent(instant, method, path, headers) in {400, 403}, headers
    assert sent(instant, "OPTIONS", path, [("host", own), ("origin", "null")]) == 403
    text = [("host", own), ("content-type", "text/plain")]
    assert sent(instant, "POST", path, text, b"{}") == 415


def test_a_page_creates_nothing_and_breaks_nothing(instant: Gce, name: str) -> None:
    own = urlsplit(instant.base).netloc
    body = json.dumps(instance(name)).encode()
    path = f"/compute/v1/projects/demo/zones/{ZONE}/instances"
    plain = ("content-type", "text/plain")
    faults = instant.admin("GET", "faults")["faults"]  # of other tests
    assert sent(instant, "POST", path, [("host", own), plain], body) == 415
    assert sent(instant, "POST", path, [("host", "evil.example:1"), JSON], body) == 403
    assert sent(instant, "POST", path, [("host", own), JSON, ("origin", "null")], body) == 403
    rule = json.dumps({"kind": "http", "method": "compute.instances.get", "status": 503}).encode()
    assert sent(instant, "POST", "/_localgce/faults", [("host", own), plain], rule) == 415
    instant.fails(404, "notFound", "GET", f"zones/{ZONE}/instances/{name}")
    assert instant.admin("GET", "faults")["faults"] == faults
    assert sent(instant, "POST", path, [("host", own), JSON], body) == 200
    instant.do("DELETE", f"zones/{ZONE}/instances/{name}")
