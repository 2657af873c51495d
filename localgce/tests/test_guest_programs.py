"""The programs of the public image, run on this host: `gcloud`, and DNS by UDP."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn

import localgce.guest
from localgce.core.settings import Settings
from localgce.machines.instant.host import InstantHost
from localgce.metadata.app import MetadataApp
from localgce.service import Service

from .gce import ZONE, instance

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from types import ModuleType

ROOT = Path(localgce.guest.__file__).parent / "root"
COMPUTE = "https://www.googleapis.com/auth/compute"


def program(path: str) -> ModuleType:
    """A program of the image as a module."""
    loader = SourceFileLoader(Path(path).name, str(ROOT / path))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    loader.exec_module(module)
    sys.dont_write_bytecode = before
    return module


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """A server with the instances `vm`, `reader` and `nobody`, by their service accounts."""
    host = InstantHost(tmp_path)
    service = Service(Settings(tmp_path, "demo", tmp_path), host)
    service.connect_guests(host)
    service.app(check_responses=True)
    await service.open()
    accounts: dict[str, list[dict[str, Any]]] = {
        "vm": [{"email": "default", "scopes": [COMPUTE]}],
        "reader": [{"email": "default", "scopes": [f"{COMPUTE}.readonly"]}],
        "nobody": [],
    }
    for name, given in accounts.items():
        body = json.dumps(instance(name, serviceAccounts=given, metadata={"a": "1"})).encode()
        path = f"projects/demo/zones/{ZONE}/instances"
        answer = await service.dispatcher().answer("POST", path, "", body)
        assert answer.body is not None
        operation = service.store.by_id("zoneOperations", str(answer.body["id"]))
        assert operation is not None
        await service.operations.wait(operation, 120)
    yield service
    await service.close()


@pytest.fixture
async def gcloud(service: Service) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    """`gcloud WORDS` as a guest of `service` runs it."""
    servers: list[tuple[uvicorn.Server, asyncio.Task[None]]] = []

    async def run(guest: str, *words: str) -> subprocess.CompletedProcess[str]:
        found = service.store.get("instances", "demo", f"zones/{ZONE}", guest)
        assert found is not None
        api = service.metadata_server
        app = MetadataApp(service.core, service.guest_attributes, found.id, lambda: api.api)
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        servers.append((server, asyncio.create_task(server.serve([listener]))))
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-IS", str(ROOT / "usr/bin/gcloud"), *words),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"GCE_METADATA_HOST": address},
        )
        out, err = await process.communicate()
        return subprocess.CompletedProcess(
            words, process.returncode or 0, out.decode(), err.decode()
        )

    yield run
    for server, task in servers:
        server.should_exit = True
        await task


def metadata_of(service: Service, name: str) -> dict[str, str]:
    found = service.store.get("instances", "demo", f"zones/{ZONE}", name)
    assert found is not None
    return {item["key"]: item["value"] for item in found.body["metadata"]["items"]}


INSTANCES = ("compute", "instances")


async def test_a_guest_reports_in_its_metadata_as_packers_wrapper_does(
    service: Service, gcloud: Callable[..., Awaitable[Any]]
) -> None:
    status = ("--metadata", "startup-script-status=done", "--zone", ZONE)
    done = await gcloud("vm", *INSTANCES, "add-metadata", "vm", *status)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"Updated [projects/demo/zones/{ZONE}/instances/vm].\n"
    assert metadata_of(service, "vm") == {"a": "1", "startup-script-status": "done"}
    assert (await gcloud("vm", *INSTANCES, "remove-metadata", "vm", "--keys=a,x")).returncode == 0
    assert metadata_of(service, "vm") == {"startup-script-status": "done"}


async def test_values_may_have_commas_and_come_from_files(
    service: Service, gcloud: Callable[..., Awaitable[Any]], tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("two\nlines\n")
    given = (f"--metadata-from-file=f={tmp_path}/text", "--metadata=^:^b=x,y:c=")
    assert (await gcloud("vm", *INSTANCES, "add-metadata", "vm", *given)).returncode == 0
    assert metadata_of(service, "vm") == {"a": "1", "f": "two\nlines\n", "b": "x,y", "c": ""}


async def test_a_guest_reads_itself_and_its_defaults(
    gcloud: Callable[..., Awaitable[Any]],
) -> None:
    described = await gcloud("reader", *INSTANCES, "describe", "reader")
    assert json.loads(described.stdout)["status"] == "RUNNING"
    value = "--format=value(name,networkInterfaces[0].networkIP,none)"
    assert (await gcloud("reader", *INSTANCES, "describe", "vm", value)).stdout.startswith(
        "vm\t10."
    )
    assert (await gcloud("reader", "config", "get", "project")).stdout == "demo\n"
    assert (await gcloud("reader", "config", "get-value", "compute/zone")).stdout == f"{ZONE}\n"
    printed = await gcloud("reader", "auth", "print-access-token")
    assert printed.stdout.startswith("ya29.c.localgce-")


async def test_the_service_account_of_the_instance_decides(
    service: Service, gcloud: Callable[..., Awaitable[Any]]
) -> None:
    add = (*INSTANCES, "add-metadata", "vm", "--metadata=k=v")
    refused = await gcloud("reader", *add)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "insufficient authentication scopes" in refused.stderr
    nobody = await gcloud("nobody", *add)
    assert nobody.returncode == 1
    assert "has no service account" in nobody.stderr
    assert metadata_of(service, "vm") == {"a": "1"}
    missing = await gcloud("vm", *INSTANCES, "describe", "other")
    assert (missing.returncode, "was not found" in missing.stderr) == (1, True)


@pytest.mark.parametrize(
    "words",
    [
        ("compute", "ssh", "vm"),
        ("storage", "ls"),
        (*INSTANCES, "list"),
        (*INSTANCES, "describe", "vm", "--format=yaml"),
        (*INSTANCES, "stop", "vm", "--discard-local-ssd"),
    ],
)
async def test_what_it_does_not_know_it_says(
    gcloud: Callable[..., Awaitable[Any]], words: tuple[str, ...]
) -> None:
    done = await gcloud("vm", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("ERROR: (gcloud) ")
    assert "It knows these commands:\n  gcloud compute instances add-metadata NAME" in done.stderr


async def test_only_the_instances_own_token_opens_the_api(service: Service) -> None:
    found = service.store.get("instances", "demo", f"zones/{ZONE}", "vm")
    other = service.store.get("instances", "demo", f"zones/{ZONE}", "reader")
    assert found is not None
    assert other is not None
    api = service.metadata_server
    path = "/compute/v1/projects/demo/zones"
    flavor = {"Metadata-Flavor": "Google"}
    at = "/computeMetadata/v1/instance/service-accounts/default/token"

    def guest(record: Any, application: Any = None) -> httpx.AsyncClient:
        given = application or (lambda: api.api)
        app = MetadataApp(service.core, service.guest_attributes, record.id, given)
        # Any: the types of httpx and of starlette are two
        transport: Any = app
        asgi = httpx.ASGITransport(transport)
        return httpx.AsyncClient(transport=asgi, base_url="http://169.254.169.254")

    async with guest(found) as vm, guest(other) as reader, guest(found, lambda: None) as early:
        own = (await vm.get(at, headers=flavor)).json()["access_token"]
        foreign = (await reader.get(at, headers=flavor)).json()["access_token"]
        assert (await vm.get(path)).status_code == 401
        assert (await vm.get(path, headers=bearer(foreign))).status_code == 401
        good = await vm.get(path, headers=bearer(own))
        assert (good.status_code, good.json()["kind"]) == (200, "compute#zoneList")
        proxied = await vm.get(path, headers={**bearer(own), "X-Forwarded-For": "10.0.0.1"})
        assert proxied.status_code == 403
        page = await vm.get(path, headers={**bearer(own), "Origin": "http://evil.example"})
        assert page.status_code == 403
        assert (await early.get(path, headers=bearer(own))).status_code == 503


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def question(name: str, *, extended: bool = False) -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    head = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, int(extended))
    return head + labels + b"\0" + struct.pack(">HH", 1, 1)


@pytest.mark.parametrize(
    ("size", "extended", "cut"),
    [(60, False, False), (600, False, True), (600, True, False), (1300, True, True)],
)
def test_dns_by_udp_is_what_the_name_server_says_by_tcp(
    monkeypatch: pytest.MonkeyPatch, size: int, extended: bool, cut: bool
) -> None:
    """An answer that is too long for the client makes it ask by TCP."""
    names = program("usr/lib/localgce/names")
    asked = question("web-1.c.demo.internal", extended=extended)
    reply = (asked[:2] + b"\x84\x00" + asked[4:]).ljust(size, b"x")
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", 0))
    address = listener.getsockname()
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(names, "SERVER", server.getsockname())
        monkeypatch.setattr(names, "IDLE_SECONDS", 2)

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                assert connection.recv(4096) == struct.pack(">H", len(asked)) + asked
                connection.sendall(struct.pack(">H", len(reply)) + reply)

        threads = [
            threading.Thread(target=serve),
            threading.Thread(target=names.main, args=[listener]),
        ]
        for thread in threads:
            thread.start()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(60)
            client.sendto(asked, address)
            answer = client.recv(4096)
        for thread in threads:
            thread.join(60)
    listener.close()
    if cut:
        assert answer[:2] == asked[:2]
        assert answer[2] & 0x02
        assert struct.unpack_from(">HHHH", answer, 4) == (1, 0, 0, 0)
        assert answer[12:] == asked[12:]
    else:
        assert answer == reply


def test_ssh_of_the_image_takes_keys_only_and_has_no_host_keys_of_its_own() -> None:
    settings = (ROOT / "etc/ssh/sshd_config.d/50-localgce.conf").read_text().splitlines()
    assert {
        "PermitRootLogin no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
    } <= {*settings}
    finish = (ROOT.parent / "finish.sh").read_text()
    assert "/etc/ssh/ssh_host_*" in finish
    assert "systemctl disable --quiet ssh.service\nsystemctl enable --quiet ssh.socket" in finish
