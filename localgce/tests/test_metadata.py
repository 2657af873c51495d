"""The metadata server, through the socket of a machine."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING

import httpx
import pytest

from localgce.core.settings import Settings
from localgce.machines.instant.host import InstantHost
from localgce.metadata.app import MetadataApp
from localgce.service import Service

from .gce import ZONE, instance

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

V1 = "/computeMetadata/v1"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """A service with an instance `vm`."""
    host = InstantHost(tmp_path)
    service = Service(Settings(tmp_path, "demo", tmp_path), host)
    service.connect_guests(host)
    await service.open()
    body = instance(
        "vm",
        metadata={"enable-guest-attributes": "TRUE", "fooBar": "own"},
        serviceAccounts=[{"email": "default", "scopes": ["https://scope/one"]}],
        tags={"items": ["blue"]},
    )
    inserted = await call(service, "POST", f"zones/{ZONE}/instances", body)
    operation = service.store.by_id("zoneOperations", str(inserted["id"]))
    assert operation is not None
    await service.operations.wait(operation, 120)
    yield service
    await service.close()


async def call(service: Service, method: str, path: str, body: object) -> dict[str, object]:
    """A call of the API."""
    raw = json.dumps(body).encode()
    answer = await service.dispatcher().answer(method, f"projects/demo/{path}", "", raw)
    assert answer.status == 200, answer.body
    assert answer.body is not None
    return answer.body


@pytest.fixture
async def guest(service: Service, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """What `vm` reaches."""
    found = service.store.get("instances", "demo", f"zones/{ZONE}", "vm")
    assert found is not None
    await service.metadata_server.open(found.id)
    folder = os.open(tmp_path / "machines" / found.id, os.O_PATH)  # its name may be too long
    transport = httpx.AsyncHTTPTransport(uds=f"/proc/self/fd/{folder}/metadata.sock")
    headers = {"Metadata-Flavor": "Google"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://metadata", headers=headers
    ) as client:
        yield client
    os.close(folder)


async def test_the_flavor_header_is_required_and_returned(guest: httpx.AsyncClient) -> None:
    good = await guest.get(f"{V1}/instance/name")
    assert (good.status_code, good.text) == (200, "vm")
    assert good.headers["metadata-flavor"] == "Google"
    assert len(good.headers["etag"]) == 16
    refused = await guest.get(f"{V1}/instance/name", headers={"Metadata-Flavor": "none"})
    assert refused.status_code == 403
    forwarded = await guest.get(f"{V1}/instance/name", headers={"X-Forwarded-For": "1.2.3.4"})
    assert forwarded.status_code == 403


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/", "computeMetadata/\n"),
        ("/computeMetadata/", "v1/\n"),
        (f"{V1}/", "instance/\noslogin/\nproject/\n"),
        (f"{V1}/project/project-id", "demo"),
        (f"{V1}/instance/attributes/", "enable-guest-attributes\nfooBar\n"),
        (f"{V1}/instance/attributes/fooBar", "own"),
        (f"{V1}/instance/tags", '["blue"]'),
        (f"{V1}/instance/disks/0/device-name", "persistent-disk-0"),
        (f"{V1}/instance/scheduling/automatic-restart", "TRUE"),
        (f"{V1}/instance/preempted", "FALSE"),
        (
            f"{V1}/instance/image",
            "projects/debian-cloud/global/images/debian-12-bookworm-v20261110",
        ),
        (f"{V1}/instance/maintenance-event", "NONE"),
        (f"{V1}/instance/network-interfaces/", "0/\n"),
        (f"{V1}/instance/network-interfaces/0/mac", "42:01:0a:80:00:02"),
        (f"{V1}/instance/network-interfaces/0/gateway", "10.128.0.1"),
        (f"{V1}/instance/network-interfaces/0/subnetmask", "255.255.240.0"),
        (f"{V1}/instance/service-accounts/default/scopes", "https://scope/one\n"),
        (f"{V1}/instance/service-accounts/default/", "aliases\nemail\nidentity\nscopes\ntoken\n"),
        (f"{V1}//instance//name", "vm"),
        (f"{V1}/instance/hostname", f"vm.{ZONE}.c.demo.internal"),
    ],
)
async def test_paths(guest: httpx.AsyncClient, path: str, text: str) -> None:
    assert (await guest.get(path)).text == text


async def test_recursive_forms(guest: httpx.AsyncClient) -> None:
    everything = (await guest.get(f"{V1}//?recursive=true&alt=json")).json()
    assert everything["instance"]["attributes"]["fooBar"] == "own"
    assert everything["instance"]["networkInterfaces"][0]["ip"] == "10.128.0.2"
    assert everything["project"]["projectId"] == "demo"
    text = await guest.get(f"{V1}/instance/attributes/?recursive=true&alt=text")
    assert text.text == "enable-guest-attributes TRUE\nfooBar own\n"
    one = await guest.get(f"{V1}/instance/name?alt=json")
    assert one.json() == "vm"
    moved = await guest.get(f"{V1}/instance?recursive=true")
    assert moved.headers["location"] == f"{V1}/instance/?recursive=true"
    assert (await guest.get(f"{V1}/instance/nothing")).status_code == 404


async def test_the_drift_token_has_both_names_that_agents_read(
    service: Service, guest: httpx.AsyncClient
) -> None:
    """Debian's decodes an integer `drift-token`, Google's later ones a string `driftToken`."""
    clock = f"{V1}/instance/virtual-clock"
    assert (await guest.get(f"{clock}/")).text == "drift-token\n"
    path = f"{V1}//?recursive=true&alt=json&wait_for_change=true&timeout_sec=60&last_etag="
    first = await guest.get(f"{path}NONE")
    assert first.json()["instance"]["virtualClock"] == {"drift-token": 0, "driftToken": "0"}
    waiting = asyncio.create_task(guest.get(path + first.headers["etag"], timeout=120))
    for verb in ("suspend", "resume"):
        begun = await call(service, "POST", f"zones/{ZONE}/instances/vm/{verb}", {})
        operation = service.store.by_id("zoneOperations", str(begun["id"]))
        assert operation is not None
        await service.operations.wait(operation, 120)
    changed = (await waiting).json()["instance"]["virtualClock"]
    assert changed == {"drift-token": 1, "driftToken": "1"}
    assert (await guest.get(f"{clock}/drift-token")).text == "1"


async def test_credentials_are_well_formed(guest: httpx.AsyncClient) -> None:
    account = f"{V1}/instance/service-accounts/default"
    token = (await guest.get(f"{account}/token")).json()
    assert token["token_type"] == "Bearer"
    assert 0 < token["expires_in"] <= 3599
    identity = await guest.get(f"{account}/identity?audience=me")
    assert identity.text.count(".") == 2
    assert (await guest.get(f"{account}/identity")).status_code == 400
    waiting = await guest.get(f"{account}/token?wait_for_change=true")
    assert waiting.status_code == 400


async def test_wait_for_change_returns_at_the_next_change(
    service: Service, guest: httpx.AsyncClient
) -> None:
    path = f"{V1}/instance/attributes/?recursive=true&wait_for_change=true"
    first = await guest.get(f"{path}&last_etag=0")
    tag = first.headers["etag"]
    timed_out = await guest.get(f"{path}&last_etag={tag}&timeout_sec=0")
    assert timed_out.headers["etag"] == tag
    waiting = asyncio.create_task(guest.get(f"{path}&last_etag={tag}", timeout=120))
    done, _ = await asyncio.wait({waiting}, timeout=0.1)
    assert not done
    found = service.store.get("instances", "demo", f"zones/{ZONE}", "vm")
    assert found is not None
    fingerprint = found.body["metadata"]["fingerprint"]
    body = {"items": [{"key": "new", "value": "1"}], "fingerprint": fingerprint}
    await call(service, "POST", f"zones/{ZONE}/instances/vm/setMetadata", body)
    changed = await waiting
    assert changed.json() == {"new": "1"}
    assert changed.headers["etag"] != tag
    listing = await guest.get(f"{V1}/instance/?wait_for_change=true")
    assert listing.status_code == 400


async def test_guest_attributes(guest: httpx.AsyncClient) -> None:
    base = f"{V1}/instance/guest-attributes"
    assert (await guest.put(f"{base}/ns/key", content="value")).status_code == 200
    assert (await guest.get(f"{base}/ns/key")).text == "value"
    assert (await guest.get(f"{base}/")).text == "ns/\n"
    assert (await guest.get(f"{base}/?recursive=true")).json() == {"ns": {"key": "value"}}
    assert (await guest.get(f"{base}/ns/other")).status_code == 404
    assert (await guest.put(f"{base}/ns", content="value")).status_code == 405
    assert (await guest.put(f"{base}/n%20s/key", content="value")).status_code == 400
    assert (await guest.put(f"{base}/ns/big", content="x" * 262145)).status_code == 413
    assert (await guest.delete(f"{base}/ns/key")).status_code == 200
    assert (await guest.delete(f"{base}/ns/key")).status_code == 404
    assert (await guest.put(f"{V1}/instance/name", content="x")).status_code == 405


async def test_recursive_text_of_everything(guest: httpx.AsyncClient) -> None:
    await guest.put(f"{V1}/instance/guest-attributes/nS/keyOne", content="1")
    own = await guest.get(f"{V1}/instance/guest-attributes/?recursive=true&alt=text")
    assert own.text == "nS/keyOne 1\n"
    text = (await guest.get(f"{V1}/instance/?recursive=true&alt=text")).text
    assert "attributes/fooBar own\n" in text
    assert "network-interfaces/0/ip 10.128.0.2\n" in text
    assert "service-accounts/default/scopes https://scope/one\n" in text
    assert "scheduling/on-host-maintenance MIGRATE\n" in text


async def test_a_guest_that_waits_while_the_server_ends_is_answered(service: Service) -> None:
    """And nothing is logged as an error: each stop of a server with machines ends such waits."""
    found = service.store.get("instances", "demo", f"zones/{ZONE}", "vm")
    assert found is not None
    app = MetadataApp(service.core, service.guest_attributes, found.id)
    waiting, sent = asyncio.Event(), list[dict[str, object]]()

    async def receive() -> dict[str, object]:
        waiting.set()
        return {"type": "http.request", "body": b""}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": f"{V1}/",
        "query_string": b"recursive=true&wait_for_change=true",
        "headers": [(b"metadata-flavor", b"Google")],
    }
    asked = asyncio.create_task(app(scope, receive, send))  # type: ignore[arg-type]
    await waiting.wait()
    await asyncio.sleep(0)
    asked.cancel()
    await asked
    assert sent[0]["status"] == 503
