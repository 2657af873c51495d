"""A project of its own, a localgce that it leads to, and the command that looks at both."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.support.connections import Served, commit_all, served_from
from typer.testing import CliRunner

from bakehouse.cli import app
from bakehouse.config.new_project import write_project
from devstack.serving import GCE_PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from typer.testing import Result

REGION = "us-central1"
ACCOUNT = "builder@bakehouse-local.iam.gserviceaccount.com"
RECIPE = f"""
base: debian-cloud/debian-12
builder:
  zones: [us-central1-a]
  service_account: {ACCOUNT}
vars: {{page: Hello}}
services: [nginx]
smoke: {{metadata: {{greeting: Hello}}}}
"""


@dataclass(frozen=True)
class SetUp:
    """A project's folder, and the server of its connection."""

    folder: Path
    url: str
    environment: pytest.MonkeyPatch

    def doctor(self, *more: str) -> Result:
        """The command, as a shell without a terminal has it."""
        given = ("--project", str(self.folder), "--conn", "google_cloud_default", *more)
        return CliRunner().invoke(app, ["doctor", *given])

    def lines(self, state: str = "wrong") -> dict[str, list[dict[str, str]]]:
        """The checks of a state, by name."""
        found: dict[str, list[dict[str, str]]] = {}
        for check in json.loads(self.doctor("--json").stdout):
            if check["state"] == state:
                found.setdefault(check["name"], []).append(check)
        return found

    def only(self, name: str, state: str = "wrong") -> dict[str, str]:
        """The one line that is not well, which has this name."""
        found = self.lines(state)
        assert list(found) == [name], found
        (check,) = found[name]
        return check

    def write(self, file: str, text: str) -> None:
        """Write a file of include/, and commit everything."""
        (self.folder / "include" / file).write_text(text)
        commit_all(self.folder, file)

    def connection(self, name: str, form: dict[str, Any]) -> None:
        """Set a connection."""
        self.environment.setenv(f"AIRFLOW_CONN_{name}", json.dumps(form))

    def fault(self, **rule: object) -> None:
        """Add a fault."""
        httpx.post(f"{self.url}/_localgce/faults", json=rule).raise_for_status()

    def post(self, path: str, **body: object) -> None:
        """Create a resource of Compute Engine, and wait for it."""
        root = f"{self.url}/compute/v1/projects/{GCE_PROJECT}"
        made = httpx.post(f"{root}/{path}", json=body).raise_for_status().json()
        scope = made["selfLink"].partition(f"/projects/{GCE_PROJECT}/")[2]
        httpx.post(f"{root}/{scope}/wait", timeout=60).raise_for_status()


@pytest.fixture(scope="session")
def preflight_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served_from(tmp_path_factory.mktemp("preflight")) as served:
        yield served


@pytest.fixture
def setup(
    preflight_server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SetUp]:
    """One of which nothing is wrong."""
    folder = tmp_path / "images"
    write_project(folder)
    (folder / "include/fleets/web.yaml").unlink()
    (folder / "include/recipes/web.yaml").write_text(RECIPE)
    commit_all(folder, "first")
    url = preflight_server.url
    google = {"is_anonymous": True, "project": GCE_PROJECT, "api_endpoint": url}
    google |= {"resource_manager_endpoint": url}
    found = SetUp(folder, url, monkeypatch)
    found.connection(
        "GOOGLE_CLOUD_DEFAULT", {"conn_type": "google_cloud_platform", "extra": google}
    )
    found.connection("BAKEHOUSE_REPO", {"conn_type": "git", "host": str(folder)})
    for name, value in {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW_VAR_BAKEHOUSE_BUILDERS": "8",
        "AIRFLOW_VAR_BAKEHOUSE_LEDGER": f"file://{tmp_path}/ledger",
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
    }.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "airflow").mkdir()
    nat = {"name": "all", "sourceSubnetworkIpRangesToNat": "ALL_SUBNETWORKS_ALL_IP_RANGES"}
    routers = f"{url}/compute/v1/projects/{GCE_PROJECT}/regions/{REGION}/routers"
    if httpx.get(f"{routers}/nat").status_code == httpx.codes.NOT_FOUND:
        where = f"regions/{REGION}/routers"
        found.post(where, name="nat", network="global/networks/default", nats=[nat])
    yield found
    httpx.delete(f"{url}/_localgce/faults").raise_for_status()
