"""deploy/terraform sets up what the file of permissions and docs/google-cloud.md say."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import hcl2
import pytest
from tests.support.google_cloud_page import commands, options
from tests.support.paths import PROJECT

from bakehouse.cloud import permissions
from bakehouse.cloud.permissions import Resource, service_accounts

if TYPE_CHECKING:
    from pathlib import Path

MODULE = PROJECT / "deploy" / "terraform"
TERRAFORM = shutil.which("terraform")
with_terraform = pytest.mark.skipif(TERRAFORM is None, reason="terraform is not installed")
PERMISSIONS = PROJECT / "plugins" / "bakehouse" / "cloud" / permissions.FILE
BINDINGS = {
    Resource.PROJECT: "google_project_iam_member",
    Resource.LEDGER: "google_storage_bucket_iam_member",
    Resource.SERVICE_ACCOUNTS: "google_service_account_iam_member",
    Resource.SIGNING_KEY: "google_kms_crypto_key_iam_member",
    Resource.SECRETS: "google_secret_manager_secret_iam_member",
}
ROLE = re.compile(r'google_project_iam_custom_role\.role\["(\w+)"\]\.id')
ACCOUNT = re.compile(r'google_service_account\.account\["(\w+)"\]\.member')


def plain(value: Any) -> Any:
    """What hcl2 has read, without the quotes around each text and its marks of comments."""
    if isinstance(value, dict):
        return {plain(k): plain(v) for k, v in value.items() if not str(k).startswith("__")}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value.strip('"') if isinstance(value, str) and value.startswith('"') else value


def blocks(kind: str) -> list[dict[str, Any]]:
    """All blocks of a kind, of all files."""
    files = [plain(hcl2.loads(path.read_text())) for path in sorted(MODULE.glob("*.tf"))]
    return [block for file in files for block in file.get(kind, [])]


def resources(kind: str) -> dict[str, dict[str, Any]]:
    """The resources of a type, by name."""
    return {
        name: body for block in blocks("resource") for name, body in block.get(kind, {}).items()
    }


def the(kind: str) -> dict[str, Any]:
    """The one resource of a type."""
    (found,) = resources(kind).values()
    return found


def default(variable: str) -> Any:
    (found,) = (block[variable] for block in blocks("variable") if variable in block)
    return found["default"]


def test_the_roles_are_read_from_the_file_of_the_package() -> None:
    (path,) = re.findall(
        r'file\("\$\{path\.module\}/([^"]+)"\)', (MODULE / "permissions.tf").read_text()
    )
    assert (MODULE / path).resolve() == PERMISSIONS
    assert the("google_project_iam_custom_role")["for_each"] == "${local.roles}"
    assert resources("google_service_account")["account"]["for_each"] == "${local.accounts}"


@with_terraform
@pytest.mark.parametrize("left_out", [(), ("machine images", "signatures by a key of Cloud KMS")])
def test_terraform_computes_the_roles_that_the_command_line_writes(
    tmp_path: Path, left_out: tuple[str, ...]
) -> None:
    text = (MODULE / "permissions.tf").read_text()
    (tmp_path / "permissions.tf").write_text(text.replace("${path.module}", str(MODULE)))
    variable = f"variable left_out {{\n  default = {json.dumps(left_out)}\n}}\n"
    (tmp_path / "variables.tf").write_text(variable)
    done = subprocess.run(
        [str(TERRAFORM), "console"],
        input="jsonencode(local.roles)\n",
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    computed = json.loads(json.loads(done.stdout))
    expected = service_accounts().roles(left_out)
    assert computed == {role: sorted(names) for role, names in expected.items() if names}


@with_terraform
def test_the_module_is_formatted() -> None:
    done = subprocess.run(
        [str(TERRAFORM), "fmt", "-check", "-diff", str(MODULE)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_each_role_is_bound_on_the_resource_of_the_file_and_on_no_other() -> None:
    wanted = {
        (BINDINGS[grant.resource], grant.role, name)
        for name, account in service_accounts()
        for grant in account.grants
    }
    found = set()
    for kind in BINDINGS.values():
        for body in resources(kind).values():
            role, account = ROLE.search(body["role"]), ACCOUNT.search(body["member"])
            if role and account:
                found.add((kind, role[1], account[1]))
    assert found == wanted
    accounts = resources("google_service_account_iam_member")["service_accounts"]
    assert accounts["for_each"] == '${toset(["builder", "member"])}'


def test_predefined_roles_are_given_for_impersonation_only() -> None:
    given = {body["role"] for kind in BINDINGS.values() for body in resources(kind).values()}
    assert {role for role in given if not ROLE.search(role)} == {
        "roles/iam.serviceAccountTokenCreator"
    }


def test_the_network_is_that_of_the_guide() -> None:
    (network,) = commands("gcloud", "compute", "networks", "create")
    (subnetwork,) = commands("gcloud", "compute", "networks", "subnets", "create")
    (router,) = commands("gcloud", "compute", "routers", "create")
    (nat,) = commands("gcloud", "compute", "routers", "nats", "create")
    assert {network[4], subnetwork[5], router[4], nat[5]} == {default("network")}
    assert options(subnetwork)["range"] == default("subnetwork_range")
    assert options(network)["subnet-mode"] == "custom"
    assert the("google_compute_network")["auto_create_subnetworks"] is False
    assert "enable-private-ip-google-access" in options(subnetwork)
    assert the("google_compute_subnetwork")["private_ip_google_access"] is True
    assert {"auto-allocate-nat-external-ips", "nat-all-subnet-ip-ranges"} <= set(options(nat))
    of_module = the("google_compute_router_nat")
    assert of_module["nat_ip_allocate_option"] == "AUTO_ONLY"
    ranges = of_module["source_subnetwork_ip_ranges_to_nat"]
    assert ranges == "ALL_SUBNETWORKS_ALL_IP_RANGES"


def test_the_apis_are_those_of_the_guide() -> None:
    always, on_demand = commands("gcloud", "services", "enable")
    enabled = (MODULE / "apis.tf").read_text()
    for words in (always, on_demand):
        for api in (word for word in words[3:] if not word.startswith("--")):
            assert f'"{api.removesuffix(".googleapis.com")}"' in enabled
    (first,) = re.findall(r"setunion\(\s*\[(.*)\]", enabled)
    named = {word.removesuffix(".googleapis.com") for word in always[3:] if "=" not in word}
    assert set(re.findall(r'"(\w+)"', first)) == named


def test_the_accounts_are_those_of_the_guide() -> None:
    made = commands("gcloud", "iam", "service-accounts", "create")
    named = {words[4]: options(words)["display-name"] for words in made}
    assert named == {one.account: one.title for one in service_accounts().all}


def test_the_guide_binds_the_roles_of_the_file() -> None:
    bound = {
        "projects": Resource.PROJECT,
        "storage": Resource.LEDGER,
        "iam": Resource.SERVICE_ACCOUNTS,
        "kms": Resource.SIGNING_KEY,
        "secrets": Resource.SECRETS,
    }
    found = set()
    for words in commands("gcloud"):
        role = re.search(r"/roles/(\w+)$", options(words).get("role", ""))
        if "add-iam-policy-binding" in words and role:
            found.add((bound[words[1]], role[1]))
    grants = (grant for account in service_accounts().all for grant in account.grants)
    assert found == {(grant.resource, grant.role) for grant in grants}


def test_the_bucket_is_that_of_the_guide() -> None:
    (create,) = commands("gcloud", "storage", "buckets", "create")
    (update,) = commands("gcloud", "storage", "buckets", "update")
    bucket = the("google_storage_bucket")
    assert "uniform-bucket-level-access" in options(create)
    assert bucket["uniform_bucket_level_access"] is True
    assert "public-access-prevention" in options(create)
    assert bucket["public_access_prevention"] == "enforced"
    assert "versioning" in options(update)
    assert bucket["versioning"] == [{"enabled": True}]


def test_each_variable_and_output_is_described_and_used() -> None:
    text = "".join(path.read_text() for path in MODULE.glob("*.tf"))
    for block in blocks("variable"):
        for name, body in block.items():
            assert body["description"], name
            assert f"var.{name}" in text, name
    readme = (MODULE / "README.md").read_text()
    for kind in ("variable", "output"):
        for block in blocks(kind):
            for name in block:
                assert f"`{name}`" in readme, name
