"""Files of this computer become images: `rawDisk`, and `localgce image import`."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from .gce import ZONE, Gce, instance
from .test_cli import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import Server

IMAGES = "global/images"
GIB = 1 << 30


def raw_disk(path: Path, size: int = GIB) -> Path:
    """A raw disk without content."""
    with path.open("wb") as file:
        file.truncate(size)
    return path


def qcow2_disk(path: Path, size: int, *, backing: bytes = b"", features: int = 0) -> Path:
    """The header of a qcow2 file, version 3."""
    offset = 104 if backing else 0
    head = struct.pack(">4sIQIIQ", b"QFI\xfb", 3, offset, len(backing), 16, size)
    head = head.ljust(72, b"\0") + struct.pack(">Q", features)
    path.write_bytes(head.ljust(104, b"\0") + backing)
    return path


def body(name: str, path: Path) -> dict[str, object]:
    return {"name": name, "family": "own", "rawDisk": {"source": path.as_uri()}}


def test_a_file_becomes_an_image_that_boots(instant: Gce, name: str, tmp_path: Path) -> None:
    file = raw_disk(tmp_path / "a disk.raw", 3 * GIB // 2)
    instant.do("POST", IMAGES, body(name, file))
    image = instant.get(f"{IMAGES}/{name}")
    assert (image["status"], image["diskSizeGb"], image["family"]) == ("READY", "2", "own")
    assert image["rawDisk"]["source"] == file.as_uri()
    made = instance(name)
    made["disks"][0]["initializeParams"]["sourceImage"] = f"{IMAGES}/{name}"
    instant.do("POST", f"zones/{ZONE}/instances", made)
    assert instant.get(f"zones/{ZONE}/disks/{name}")["sizeGb"] == "2"
    instant.do("DELETE", f"zones/{ZONE}/instances/{name}")
    instant.do("DELETE", f"{IMAGES}/{name}")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\x1f\x8b rest of a tar.gz", "is a gzip file: unpack or convert it"),
        (b"KDMV", "is a VMDK file"),
        (b"", "is neither a qcow2 nor a raw disk"),
        (b"x" * 513, "is neither a qcow2 nor a raw disk"),
        (b"QFI\xfb", "is a broken qcow2 file"),
    ],
)
def test_a_file_that_is_no_disk_is_refused(
    instant: Gce, name: str, tmp_path: Path, content: bytes, problem: str
) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    message = instant.fails(400, "invalid", "POST", IMAGES, body(name, file))
    assert message.startswith("Invalid value for field 'resource.rawDisk.source'")
    assert f"{file} {problem}" in message


def test_a_disk_that_needs_another_file_is_refused(instant: Gce, name: str, tmp_path: Path) -> None:
    """Which could be any file that the server may read."""
    file = qcow2_disk(tmp_path / "top.qcow2", GIB, backing=b"/etc/shadow")
    message = instant.fails(400, "invalid", "POST", IMAGES, body(name, file))
    assert "is only the changes to /etc/shadow" in message
    file = qcow2_disk(tmp_path / "outside.qcow2", GIB, features=4)
    message = instant.fails(400, "invalid", "POST", IMAGES, body(name, file))
    assert "has its data in another file" in message


@pytest.mark.parametrize(
    "source",
    [
        "https://storage.googleapis.com/bucket/disk.tar.gz",
        "gs://bucket/disk.tar.gz",
        "file://elsewhere/disk.raw",
        "/disk.raw",
        "",
    ],
)
def test_what_is_no_file_of_this_computer_is_refused(instant: Gce, name: str, source: str) -> None:
    made = {"name": name, "rawDisk": {"source": source}}
    assert "file:///PATH" in instant.fails(400, "invalid", "POST", IMAGES, made)


def test_a_file_that_is_not_there_is_named(instant: Gce, name: str, tmp_path: Path) -> None:
    for gone in (tmp_path / "gone", tmp_path):
        message = instant.fails(400, "invalid", "POST", IMAGES, body(name, gone))
        assert f"{gone} is not a file" in message


def test_a_family_that_is_not_built_says_how_to_import_it(instant: Gce, name: str) -> None:
    family = "projects/ubuntu-os-cloud/global/images/family/ubuntu-2204-lts"
    made = instance(name)
    made["disks"][0]["initializeParams"]["sourceImage"] = family
    message = instant.fails(404, "notFound", "POST", f"zones/{ZONE}/instances", made)
    assert message.startswith(f"The resource '{family}' was not found")
    command = "localgce image import FILE --family ubuntu-2204-lts --project ubuntu-os-cloud"
    assert f"`{command}`" in message
    for path in (family, f"projects/ubuntu-os-cloud/zones/{ZONE}/imageFamilyViews/ubuntu-2204-lts"):
        answer = instant.http.get(f"/compute/v1/{path}").json()["error"]
        assert (answer["code"], f"`{command}`" in answer["message"]) == (404, True)
    named = "projects/ubuntu-os-cloud/global/images/ubuntu-2204-jammy-v20261101"
    made["disks"][0]["initializeParams"]["sourceImage"] = named
    message = instant.fails(404, "notFound", "POST", f"zones/{ZONE}/instances", made)
    assert "localgce image import FILE --family FAMILY --project ubuntu-os-cloud" in message
    assert instant.http.get(f"/compute/v1/{named}").json()["error"]["message"] == message
    own = instant.fails(404, "notFound", "GET", f"{IMAGES}/family/none-of-that")
    assert "import" not in own


def test_the_command_imports_into_a_public_project(
    make_server: Callable[..., Server], name: str, tmp_path: Path
) -> None:
    server = make_server()
    gce = server.start()
    file = raw_disk(tmp_path / "ubuntu.raw")
    command = ["image", "import", str(file), "--family", "ubuntu-2204-lts"]
    done = run(*command, "--project", "ubuntu-os-cloud", "--state", str(server.state))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("projects/ubuntu-os-cloud/global/images/ubuntu-2204-lts-")
    made = instance(name)
    family = "projects/ubuntu-os-cloud/global/images/family/ubuntu-2204-lts"
    made["disks"][0]["initializeParams"]["sourceImage"] = family
    gce.do("POST", f"zones/{ZONE}/instances", made)
    own = run(*command, "--state", str(server.state))
    assert own.stdout.startswith("projects/demo/global/images/ubuntu-2204-lts-")
    assert len(gce.items(IMAGES)) == 1
    refused = run(*command, "--project", "nobodys", "--state", str(server.state))
    assert refused.returncode == 1
    assert "Invalid value for field 'project': 'nobodys'" in refused.stderr
    refused = run("image", "import", str(tmp_path), "--family", "x", "--state", str(server.state))
    assert f"{tmp_path} is not a file" in refused.stderr


def test_an_import_without_a_server_or_a_family_is_a_line(tmp_path: Path) -> None:
    file = raw_disk(tmp_path / "disk.raw")
    state = ["--state", str(tmp_path / "state")]
    done = run("image", "import", str(file), "--family", "x", *state)
    assert done.returncode == 1
    assert done.stderr.startswith("localgce: no server runs on ")
    assert "localgce up" in done.stderr
    done = run("image", "import", str(file), *state)
    assert done.stderr == ("localgce: it is: localgce image import FILE --family F [--project P]\n")
