"""`bakehouse doctor --conn` against localgce: each line, and ten that are wrong at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from .conftest import ACCOUNT, RECIPE, REGION

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import SetUp

DISABLED = (
    "{0} has not been used in project 1 before or it is disabled. Enable it by visiting"
    " https://console.developers.google.com/apis/api/{0}/overview?project=1 then retry."
)


def quota(setup: SetUp, metric: str, limit: float) -> None:
    body = {"region": REGION, "metric": metric, "limit": limit}
    httpx.post(f"{setup.url}/_localgce/quotas", json=body).raise_for_status()


def test_of_a_project_that_is_set_up_nothing_is_wrong(setup: SetUp, tmp_path: Path) -> None:
    done = setup.doctor()
    assert done.exit_code == 0, done.stdout
    assert {line[0] for line in done.stdout.splitlines()[:-2]} == {"✓"}
    assert done.stdout.endswith("\n18 fine\n")
    assert not list((tmp_path / "ledger").rglob("*.json")), "the try of a lease is taken away"


def test_ten_things_that_are_wrong_are_told_at_once_with_what_mends_them(setup: SetUp) -> None:
    iam = "iam.googleapis.com"
    setup.fault(
        kind="http",
        method="iam.*",
        status=403,
        reason="accessNotConfigured",
        message=DISABLED.format(iam),
    )
    for permission in ("compute.images.create", "compute.instances.delete"):
        setup.fault(kind="deny_permission", permission=permission)
    constraint = "compute.disableGuestAttributesAccess"
    setup.fault(kind="enforce_org_policy", constraint=f"constraints/{constraint}")
    quota(setup, "CPUS", 3)
    recipe, absent = f"{RECIPE}scripts: web\n", "c3-standard-97"
    other = recipe.replace("us-central1-a", "europe-west1-b")
    setup.write("recipes/api.yaml", recipe.replace("debian-12", "debian-99"))
    setup.write("recipes/eu.yaml", other.replace("builder:", f"builder:\n  machine_type: {absent}"))
    setup.write("recipes/shop.yaml", f"{recipe}builders: {{}}\n")
    setup.environment.setenv("AIRFLOW_VAR_BAKEHOUSE_LEDGER", "file:///dev/null/ledger")
    setup.connection("BAKEHOUSE_REPO", {"conn_type": "git", "host": "/nowhere"})
    setup.environment.setenv("AIRFLOW__CORE__EXECUTOR", "LocalExecutor")
    setup.environment.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "5")
    done = setup.doctor()
    quota(setup, "CPUS", 100_000)
    print(done.stdout)  # to be looked at, with pytest -s
    lines = done.stdout.splitlines()
    wrong = [lines[i : i + 2] for i, line in enumerate(lines) if line.startswith("✗")]
    assert [line[0].split("  ")[0] for line in wrong] == [
        "✗ include/",
        "✗ APIs",
        "✗ permissions",
        "✗ machine types",
        "✗ quotas",
        "✗ network",
        "✗ base images",
        "✗ guest attributes",
        "✗ ledger",
        "✗ git",
        "✗ Airflow settings",
    ]
    remedies = [after.strip() for _, after in wrong]
    assert remedies == [
        "→ bakehouse validate",
        f"→ gcloud services enable {iam} --project bakehouse-local",
        "→ gcloud iam roles update bakehouseOrchestrator --project bakehouse-local"
        " --add-permissions compute.images.create,compute.instances.delete",
        "→ gcloud compute machine-types list --zones europe-west1-b --project bakehouse-local"
        "   # and correct the file",
        "→ airflow variables set bakehouse_builders 1   # or ask for more:"
        " https://console.cloud.google.com/iam-admin/quotas?project=bakehouse-local",
        "→ gcloud compute routers create default-nat --network default --region europe-west1"
        " --project bakehouse-local && gcloud compute routers nats create default-nat --router"
        " default-nat --region europe-west1 --project bakehouse-local"
        " --auto-allocate-nat-external-ips --nat-all-subnet-ip-ranges",
        "→ gcloud compute images list --project debian-cloud --no-standard-images"
        "   # and correct base",
        f"→ gcloud resource-manager org-policies disable-enforce {constraint}"
        " --project bakehouse-local",
        "→ airflow variables set bakehouse_ledger gs://google_cloud_default@BUCKET/ledger",
        "→ airflow connections delete bakehouse_repo; airflow connections add bakehouse_repo"
        " --conn-type git --conn-host URL",
        "→ export AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL=1",
    ]
    assert lines[-1].startswith("11 wrong, 1 not known, ")
    assert done.exit_code == 1


def test_without_credentials_only_that_is_told_of_google_cloud(setup: SetUp) -> None:
    key = {"project": "p", "key_path": "/nowhere/key.json"}
    setup.connection("GOOGLE_CLOUD_DEFAULT", {"conn_type": "google_cloud_platform", "extra": key})
    check = setup.only("credentials")
    assert "/nowhere/key.json" in check["found"]
    assert "airflow connections add google_cloud_default" in check["remedy"]


@pytest.mark.parametrize(
    ("permission", "name", "words"),
    [
        ("compute.regions.get", "quotas", "us-central1: not known, which needs compute.regions"),
        ("compute.machineTypes.get", "machine types", "which needs compute.machineTypes.get"),
        ("compute.subnetworks.list", "network", "which needs compute.subnetworks.list"),
        ("compute.routers.list", "network", "which needs compute.routers.list"),
    ],
)
def test_a_check_that_is_not_permitted_says_what_it_needs(
    setup: SetUp, permission: str, name: str, words: str
) -> None:
    setup.fault(kind="deny_permission", permission=permission)
    (check,) = setup.lines("unknown")[name]
    assert words in check["found"]
    (missing,) = setup.lines()["permissions"]
    assert missing["remedy"].endswith(f" --add-permissions {permission}")


def test_a_policy_that_may_not_be_read_is_not_known(setup: SetUp) -> None:
    setup.fault(kind="deny_permission", permission="orgpolicy.policy.get")
    check = setup.only("guest attributes", "unknown")
    assert "which needs orgpolicy.policy.get" in check["found"]
    assert check["remedy"].startswith("gcloud resource-manager org-policies describe ")
    assert setup.doctor().exit_code == 0


def test_a_service_account_that_may_not_be_given_to_machines_is_told(setup: SetUp) -> None:
    setup.fault(kind="deny_permission", permission="iam.serviceAccounts.actAs")
    check = setup.only("service accounts")
    assert check["remedy"] == (
        f"gcloud iam service-accounts add-iam-policy-binding {ACCOUNT}"
        " --member serviceAccount:ACCOUNT"
        " --role projects/bakehouse-local/roles/bakehouseAccountUser --project bakehouse-local"
    )


def test_an_image_that_nothing_may_be_made_of_is_told(setup: SetUp) -> None:
    setup.fault(kind="deny_permission", permission="compute.images.useReadOnly")
    (check,) = setup.lines()["base images"]
    assert "compute.images.useReadOnly is missing on debian-cloud/debian-12" in check["found"]
    assert check["remedy"].startswith("gcloud projects add-iam-policy-binding debian-cloud ")


def test_an_api_that_is_not_enabled_is_named_once(setup: SetUp) -> None:
    message = DISABLED.format("compute.googleapis.com")
    setup.fault(
        kind="http",
        method="compute.*",
        times=1000,
        status=403,
        reason="accessNotConfigured",
        message=message,
    )
    check = setup.only("APIs")
    assert check["found"] == "not enabled: compute.googleapis.com"
    assert set(setup.lines("unknown")) == {"quotas", "network", "machine types", "base images"}


def test_a_recipe_that_is_not_committed_is_told(setup: SetUp) -> None:
    (setup.folder / "include/recipes/new.yaml").write_text(f"{RECIPE}scripts: web\n")
    check = setup.only("git")
    assert check["found"].endswith("does not have new")
    assert check["remedy"] == "git add include/recipes/new.yaml && git commit && git push"


def test_private_google_access_is_enough_with_a_mirror_inside(setup: SetUp) -> None:
    setup.write("recipes/web.yaml", RECIPE.replace("us-central1-a", "europe-west1-c"))
    assert "neither Cloud NAT nor private Google access" in setup.only("network")["found"]
    root = f"{setup.url}/compute/v1/projects/bakehouse-local/regions/europe-west1"
    path = f"{root}/subnetworks/default/setPrivateIpGoogleAccess"
    httpx.post(path, json={"privateIpGoogleAccess": True}).raise_for_status()
    (check,) = setup.lines("ok")["network"]
    httpx.post(path, json={"privateIpGoogleAccess": False}).raise_for_status()
    assert "bakehouse_apt_mirrors" in check["found"]
