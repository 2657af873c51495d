"""A localgce with instant machines for all tests of this folder, and a project of two recipes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.deadlines import SOON

from devstack.gce_api import Compute
from devstack.serving import GCE_PROJECT, serving
from devstack.waiting import wait_until

from .walk import CONN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ZONE = "us-central1-a"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Compute]]:
    with serving(tmp_path_factory.mktemp("house")) as url:
        compute = Compute(url, GCE_PROJECT)
        yield url, compute
        compute.close()


@pytest.fixture
def compute(
    server: tuple[str, Compute], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Compute]:
    """The server, empty but for a small image `seed`."""
    url, compute = server
    google = {
        "is_anonymous": True,
        "project": GCE_PROJECT,
        "api_endpoint": url,
        "poll_interval": 0.1,
    }
    connection = {"conn_type": "google_cloud_platform", "extra": google}
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN.upper()}", json.dumps(connection))
    monkeypatch.setenv("AIRFLOW_VAR_BAKEHOUSE_LEDGER", f"file://{tmp_path}/ledger")
    monkeypatch.setattr("bakehouse.cloud.triggers.FIRST_LOOK", 0.1)
    empty(compute)
    disk = {"name": "seed", "sizeGb": "1"}
    compute.call("POST", f"zones/{ZONE}/disks", json=disk)
    body = {"name": "seed", "sourceDisk": f"zones/{ZONE}/disks/seed"}
    wait_until(lambda: compute.disks()[0]["status"] == "READY", SOON, "the disk")
    compute.call("POST", "global/images", json=body)
    ready(compute, "seed")
    compute.forget()
    yield compute
    compute.forget()


@pytest.fixture
def include(tmp_path: Path) -> Path:
    """One recipe that keeps one image and has a second's grace, and its fleet."""
    folder = tmp_path / "include"
    (folder / "recipes").mkdir(parents=True)
    (folder / "fleets").mkdir()
    keep = "image: {keep: {last: 1, grace: 1s}}\n"
    for name in ("web", "app"):
        text = "base: debian-cloud/debian-12\n" + keep
        (folder / f"recipes/{name}.yaml").write_text(text)
        (folder / f"fleets/{name}.yaml").write_text(
            f"recipe: {name}\nmembers: {{labels: {{fleet: {name}}}, zones: [{ZONE}]}}\n"
        )
    return folder


def empty(compute: Compute) -> None:
    compute.delete_machines()
    for image in compute.images():
        compute.call("DELETE", f"global/images/{image['name']}")
    for template in compute.listed("global/instanceTemplates"):
        compute.call("DELETE", f"global/instanceTemplates/{template['name']}")
    wait_until(lambda: not compute.images(), SOON, "no image")


def ready(compute: Compute, name: str) -> dict[str, Any]:
    wait_until(lambda: compute.image(name)["status"] == "READY", SOON, name, every=0.05)
    return compute.image(name)
