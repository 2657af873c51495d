"""The pages that show people a machine, its serial output and an image."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from localgce.core.errors import ApiError
from localgce.http.guard import check_headers

from .gce import ZONE, instance
from .test_strangers import check, refused, sent

if TYPE_CHECKING:
    from .gce import Gce

CONSOLE = "/_localgce/console"
CLICKED = (("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"))
SITES = ("cross-site", "same-site")


def text_of(gce: Gce, path: str, status: int = 200) -> str:
    answer = gce.http.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "<script" not in answer.text.lower()
    return answer.text


def test_a_machine_has_a_page_with_its_serial_output(instant: Gce, name: str) -> None:
    body = instance(name)
    body["labels"] = {"team": "web"}
    body["metadata"] = {"items": [{"key": "greeting", "value": "<b>hello</b> & co"}]}
    instant.do("POST", f"zones/{ZONE}/instances", body)
    machine = f"{CONSOLE}/projects/demo/zones/{ZONE}/instances/{name}"
    assert f'href="{machine}"' in text_of(instant, CONSOLE)
    page = text_of(instant, machine)
    assert f"<h1>Machine {name}</h1>" in page
    assert "<th>Status</th><td>RUNNING</td>" in page
    assert "<th>team</th><td>web</td>" in page
    assert "&lt;b&gt;hello&lt;/b&gt; &amp; co" in page
    assert f'href="{machine}/serial"' in page
    serial = text_of(instant, f"{machine}/serial")
    assert f"<h1>Serial output of {name}</h1>" in serial
    instant.do("DELETE", f"zones/{ZONE}/instances/{name}")
    for path in (machine, f"{machine}/serial"):
        assert f"The machine {name} does not exist" in text_of(instant, path, 404)


def test_an_image_has_a_page(instant: Gce, name: str) -> None:
    disk = f"zones/{ZONE}/disks/{name}"
    instant.do("POST", f"zones/{ZONE}/disks", {"name": name, "sizeGb": "10"})
    instant.do("POST", "global/images", {"name": name, "sourceDisk": disk, "family": "web"})
    path = f"{CONSOLE}/projects/demo/global/images/{name}"
    assert f'href="{path}"' in text_of(instant, CONSOLE)
    page = text_of(instant, path)
    assert f"<h1>Image {name}</h1>" in page
    assert "<th>Family</th><td>web</td>" in page
    assert "<th>Status</th><td>READY</td>" in page
    instant.do("DELETE", f"global/images/{name}")
    assert f"The image {name} does not exist" in text_of(instant, path, 404)


@pytest.mark.parametrize(
    "path",
    [
        "/projects/demo/global/firewalls/default",
        "/projects/demo/global/images/%3Cb%3Ex",
        "/projects/nobody/zones/z/instances/x",
        "/projects/demo/zones/..%2f..%2fx/instances/x",
    ],
)
def test_what_is_no_machine_and_no_image_has_no_page(instant: Gce, path: str) -> None:
    answer = instant.http.get(f"{CONSOLE}{path}")
    assert answer.status_code == 404
    assert not re.search(r"<b>|Traceback", answer.text)


@pytest.mark.parametrize("site", SITES)
def test_a_link_on_another_page_leads_to_the_console_and_nothing_else_does(site: str) -> None:
    host, of = ("host", "127.0.0.1:8790"), ("sec-fetch-site", site)
    linked = [(n.encode(), v.encode()) for n, v in (host, of, *CLICKED)]
    check_headers(linked, console=True)
    for shown in ("iframe", "frame", "image", "empty", "object"):
        framed = (host, of, CLICKED[0], ("sec-fetch-dest", shown))
        assert refused_by_console(*framed)
    assert refused_by_console(host, of)
    assert refused_by_console(host, of, ("sec-fetch-mode", "cors"), CLICKED[1])
    assert refused_by_console(("host", "evil.example:8790"), of, *CLICKED)
    assert refused_by_console(host, of, *CLICKED, ("origin", "http://evil.example"))
    assert refused(host, of, *CLICKED).status == 403
    check(host, *CLICKED, ("sec-fetch-site", "none"))


def refused_by_console(*headers: tuple[str, str]) -> bool:
    with pytest.raises(ApiError) as caught:
        check_headers([(n.encode(), v.encode()) for n, v in headers], console=True)
    return caught.value.status == 403


@pytest.mark.parametrize("site", SITES)
def test_a_followed_link_reads_and_changes_nothing(instant: Gce, site: str) -> None:
    own = [("host", urlsplit(instant.base).netloc), ("sec-fetch-site", site), *CLICKED]
    assert sent(instant, "GET", CONSOLE, own) == 200
    for path in ("/_localgce/requests", "/_localgce/consoles", f"{CONSOLE}x", "/compute/v1/x"):
        assert sent(instant, "GET", path, own) == 403
    for method in ("POST", "DELETE", "PUT"):
        assert sent(instant, method, CONSOLE, own) == 403
