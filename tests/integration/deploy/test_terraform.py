"""deploy/terraform, by the schemas of the real provider; its network on a localgce."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.support.paths import PROJECT
from tests.support.terraform import NO_CHANGE, Terraform

from devstack.serving import GCE_PROJECT, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROLES = "plugins/bakehouse/cloud/permissions.yaml"
# what a module's user sets; the APIs are left out, since localgce has no Service Usage
SETTINGS = {"project": GCE_PROJECT, "region": "us-central1", "ledger_bucket": "demo-bakehouse"}
NO_APIS = {"locals": {"apis": "${toset([])}"}}
NETWORK = tuple(
    f"-target=google_compute_{resource}.bakehouse" for resource in ("subnetwork", "router_nat")
)

# the first build of the provider takes most of an hour
pytestmark = [pytest.mark.long, pytest.mark.timeout(4500)]


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "server").mkdir()
    with serving(tmp_path / "server") as found:
        yield found


@pytest.fixture
def module(tmp_path: Path, url: str) -> Terraform:
    """The module with the file of permissions that it reads, as in a checkout."""
    folder = tmp_path / "deploy" / "terraform"
    shutil.copytree(PROJECT / "deploy" / "terraform", folder)
    (tmp_path / ROLES).parent.mkdir(parents=True)
    shutil.copy(PROJECT / ROLES, tmp_path / ROLES)
    return Terraform(folder, url)


def test_the_provider_accepts_the_module(module: Terraform) -> None:
    done = module.run("validate", "-json")
    told = json.loads(done.stdout)
    errors = [one for one in told["diagnostics"] if one["severity"] == "error"]
    assert (told["valid"], errors) == (True, [])
    warnings = {one["summary"] for one in told["diagnostics"]}
    assert warnings <= {"Provider development overrides are in effect"}


def test_the_provider_finds_a_field_that_a_resource_does_not_have(module: Terraform) -> None:
    """The proof that `validate` can see."""
    file = module.folder / "network.tf"
    file.write_text(file.read_text().replace("nat_ip_allocate_option", "nat_ip_allocation"))
    done = module.run("validate", "-json")
    assert not json.loads(done.stdout)["valid"]
    assert "nat_ip_allocation" in done.stdout


def test_the_network_is_made_and_a_second_plan_has_no_difference(
    module: Terraform, url: str
) -> None:
    """Accounts, roles, the bucket and the APIs are of services that localgce does not have."""
    (module.folder / "terraform.tfvars.json").write_text(json.dumps(SETTINGS))
    (module.folder / "apis_override.tf.json").write_text(json.dumps(NO_APIS))
    module.apply(*NETWORK)
    region = f"{url}/compute/v1/projects/{GCE_PROJECT}/regions/us-central1"
    router = httpx.get(f"{region}/routers/bakehouse").json()
    assert [nat["natIpAllocateOption"] for nat in router["nats"]] == ["AUTO_ONLY"]
    subnetwork = httpx.get(f"{region}/subnetworks/bakehouse").json()
    assert subnetwork["privateIpGoogleAccess"] is True
    code, said = module.plan(*NETWORK)
    assert code == NO_CHANGE, said
    module.destroy()
    assert httpx.get(f"{region}/routers/bakehouse").status_code == 404
