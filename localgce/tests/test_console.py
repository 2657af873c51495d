"""The pages that show people a machine, its serial output and an image."""

from __future__ import annotations

import re
import struct
from base64 import b64decode
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from localgce.admin.html import short_client
from localgce.core.errors import ApiError
from localgce.http.guard import check_headers

from .gce import ZONE, instance
from .test_strangers import check, refused, sent

if TYPE_CHECKING:
    from .gce import Gce

CONSOLE = "/_localgce/console"
SCRIPT = f'<script src="{CONSOLE}/console.js" defer>'
GCLOUD = (
    "google-cloud-sdk gcloud/528.0.0 command/gcloud.compute.instances.create"
    " invocation-id/0a1b environment/None"
)
CLICKED = (("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"))
SITES = ("cross-site", "same-site")


def text_of(gce: Gce, path: str, status: int = 200) -> str:
    answer = gce.http.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    # no script and no handler in the page itself: the policy would not let it run
    assert re.findall(r"<script[^>]*>", answer.text) == [SCRIPT]
    assert not re.search(r"<[^>]+\son\w+=|<style|\sstyle=", answer.text)
    return answer.text


def rows_of(page: str, headline: str) -> list[list[str]]:
    """The cells of a section's table, as text."""
    section = page.split(f"<h2>{headline}", 1)[1].split("<h2>")[0]
    rows = re.findall(r"<tr><td.*?</tr>", section)
    return [[re.sub("<[^>]+>", "", cell) for cell in re.findall("<td.*?</td>", r)] for r in rows]


def test_a_machine_has_a_page_with_its_serial_output(instant: Gce, name: str) -> None:
    body = instance(name)
    body["labels"] = {"team": "web"}
    body["metadata"] = {"items": [{"key": "greeting", "value": "<b>hello</b> & co"}]}
    instant.do("POST", f"zones/{ZONE}/instances", body)
    machine = f"{CONSOLE}/projects/demo/zones/{ZONE}/instances/{name}"
    assert f'href="{machine}"' in text_of(instant, CONSOLE)
    page = text_of(instant, machine)
    assert f"<h1>Machine {name}</h1>" in page
    assert fact(page, "Status") == "RUNNING"
    assert fact(page, "team") == "web"
    assert fact(page, "Boot disk") == name
    assert f'href="{CONSOLE}/projects/demo/zones/{ZONE}/disks/{name}"' in page
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
    assert fact(page, "Family") == "web"
    assert fact(page, "Status") == "READY"
    assert fact(page, "Source disk") == name
    instant.do("DELETE", f"global/images/{name}")
    assert f"The image {name} does not exist" in text_of(instant, path, 404)


def fact(page: str, name: str) -> str:
    """The value beside a name, as text."""
    found = re.search(rf'<th scope="row">{re.escape(name)}</th><td>(.*?)</td>', page)
    assert found is not None, name
    return re.sub("<[^>]+>", "", found[1])


def test_the_first_page_shows_machines_disks_images_and_operations(instant: Gce, name: str) -> None:
    agent = {"user-agent": GCLOUD}
    path = f"{instant.root}/zones/{ZONE}/instances"
    begun = instant.http.post(path, json=instance(name), headers=agent).json()
    instant.finish(begun)
    page = text_of(instant, CONSOLE)
    address = instant.instance(name)["networkInterfaces"][0]["networkIP"]
    machine = next(row for row in rows_of(page, "Machines") if row[0] == name)
    assert machine[1:5] == ["RUNNING", address, f"demo, {ZONE}", "gcloud compute instances create"]
    disk = next(row for row in rows_of(page, "Disks") if row[0] == name)
    assert disk[1:4] == ["READY", name, f"demo, {ZONE}"]
    assert any(row[0].startswith("debian-12-bookworm-") for row in rows_of(page, "Images"))
    operations = [row for row in rows_of(page, "Operations") if row[2] == name]
    assert [row[1:] for row in operations] == [
        ["insert", name, "DONE", "gcloud compute instances create"]
    ]
    of_it = rows_of(text_of(instant, f"{CONSOLE}/projects/demo/zones/{ZONE}/instances/{name}"),
                    "Operations")  # fmt: skip
    assert of_it == operations
    instant.do("DELETE", f"zones/{ZONE}/instances/{name}")


def test_a_failed_operation_says_why(instant: Gce, name: str) -> None:
    fault = {
        "kind": "operation",
        "resource": name,
        "code": "QUOTA_EXCEEDED",
        "message": "<b>no</b>",
    }
    instant.admin("POST", "faults", fault)
    failed = instant.finish(instant.start("POST", f"zones/{ZONE}/instances", instance(name)))
    assert "error" in failed
    page = text_of(instant, CONSOLE)
    assert "failed</span>: &lt;b&gt;no&lt;/b&gt;" in page


@pytest.mark.parametrize(
    ("agent", "shown"),
    [
        (GCLOUD, "gcloud compute instances create"),
        (
            "google-api-go-client/0.5 Terraform/1.9.0 (+https://www.terraform.io) x",
            "Terraform/1.9.0",
        ),
        ("OpenTofu/1.10.6 (+https://opentofu.org)", "OpenTofu/1.10.6"),
        ("google-api-go-client/0.5 Packer/1.12 (+https://www.packer.io/)", "Packer/1.12"),
        ("python-requests/2.32.3", "python-requests/2.32.3"),
        ("", "localgce"),
    ],
)
def test_a_client_is_called_by_its_name(agent: str, shown: str) -> None:
    assert short_client(agent) == shown


def test_the_script_and_the_style_come_from_the_server(instant: Gce) -> None:
    for file, kind in (("console.js", "text/javascript"), ("console.css", "text/css")):
        answer = instant.http.get(f"{CONSOLE}/{file}")
        assert answer.headers["content-type"].partition(";")[0] == kind
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert len(answer.text) > 500
    for file in ("x.js", "..%2fhtml.py", "console.py"):
        assert instant.http.get(f"{CONSOLE}/{file}").status_code == 404


def test_a_machine_without_a_display_has_no_picture(instant: Gce, name: str) -> None:
    body = instance(name) | {"displayDevice": {"enableDisplay": True}}
    instant.do("POST", f"zones/{ZONE}/instances", body)
    machine = f"{CONSOLE}/projects/demo/zones/{ZONE}/instances/{name}"
    assert "<img" not in text_of(instant, machine)
    answer = instant.http.get(f"{machine}/screenshot.png")
    assert (answer.status_code, answer.text) == (
        404,
        f"{name} is an instant machine: it has no display",
    )
    path = f"zones/{ZONE}/instances/{name}/screenshot"
    assert "it has no display" in instant.fails(400, "failedPrecondition", "GET", path)
    instant.do("DELETE", f"zones/{ZONE}/instances/{name}")
    assert instant.http.get(f"{machine}/screenshot.png").status_code == 404


@pytest.mark.vm
def test_the_display_of_a_real_machine_can_be_seen(qemu: Gce, name: str) -> None:
    body = instance(name) | {"displayDevice": {"enableDisplay": True}}
    qemu.do("POST", f"zones/{ZONE}/instances", body)
    machine = f"{CONSOLE}/projects/demo/zones/{ZONE}/instances/{name}"
    assert f'<img alt="The display" src="{machine}/screenshot.png"' in text_of(qemu, machine)
    answer = qemu.http.get(f"{machine}/screenshot.png")
    assert answer.headers["content-type"] == "image/png"
    shown = qemu.get(f"zones/{ZONE}/instances/{name}/screenshot")["contents"]
    for picture in (answer.content, b64decode(shown)):
        assert picture.startswith(b"\x89PNG\r\n")
        width, height = struct.unpack(">II", picture[16:24])
        assert width >= 640
        assert height >= 400
    qemu.do("DELETE", f"zones/{ZONE}/instances/{name}")


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
