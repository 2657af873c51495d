"""The file of permissions has those that the calls of the code need, no fewer and no more."""

from __future__ import annotations

import json
import re
import time

import pytest
from tests.support.api_methods import method_of
from tests.support.called_methods import PACKAGE, built_apis, called_methods
from tests.support.method_permissions import (
    COMPUTE,
    IAM,
    KMS,
    RESOURCE_MANAGER,
    SECRET_MANAGER,
    STORAGE,
)
from tests.support.secret_manager import SecretManager, serving

from bakehouse.cloud.permissions import (
    Resource,
    UnknownUse,
    role_definitions,
    service_accounts,
)
from bakehouse.guest import secret_values

ACCOUNTS = service_accounts()
ORCHESTRATOR = ACCOUNTS.orchestrator
OF_APIS = {
    "compute.v1": COMPUTE,
    "cloudkms.v1": KMS,
    "cloudresourcemanager.v1": RESOURCE_MANAGER,
    "iam.v1": IAM,
}


@pytest.mark.parametrize(("api", "documented"), OF_APIS.items())
def test_each_method_that_is_called_has_its_permissions_here(
    api: str, documented: dict[str, tuple[str, ...]]
) -> None:
    assert called_methods(api) == set(documented)


def test_no_other_api_is_called_by_a_discovery_client() -> None:
    assert built_apis() == set(OF_APIS)


def test_the_orchestrator_has_the_permissions_of_the_methods_that_it_calls() -> None:
    needed = {name for table in OF_APIS.values() for names in table.values() for name in names}
    calls = [Resource.PROJECT, Resource.SERVICE_ACCOUNTS, Resource.SIGNING_KEY]
    has = {name for on in calls for use in ORCHESTRATOR.on(on) for name in use.names}
    assert has == needed


def test_machines_have_the_permission_of_the_request_that_reads_a_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    manager = SecretManager(secrets={"db/latest": b"x"})
    told = {
        "project/project-id": manager.project,
        "instance/service-accounts/default/token": json.dumps({"access_token": manager.token}),
    }
    monkeypatch.setattr(secret_values.SecretManager, "_of_metadata", lambda _, path: told[path])
    with serving(manager):
        monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER", manager.endpoint)
        reader = secret_values.SecretManager(time.monotonic())
        assert reader.value(secret_values.parse("secret://db")) == "x"
    methods = {method_of("secretmanager.v1", "GET", path) for path in manager.requests}
    assert methods == set(SECRET_MANAGER)
    needed = {name for names in SECRET_MANAGER.values() for name in names}
    for account in (ACCOUNTS.builder, ACCOUNTS.member):
        assert {name for grant in account.grants for name in grant.names()} == needed


def test_machines_ask_no_other_api_of_google() -> None:
    scripts = [path for path in (PACKAGE / "guest").iterdir() if path.is_file()]
    hosts = re.findall(r"[\w.-]*\.googleapis\.com", "\n".join(p.read_text() for p in scripts))
    assert set(hosts) == {"secretmanager.googleapis.com"}


@pytest.mark.parametrize(
    ("verb", "path", "method"),
    [
        ("POST", "/upload/storage/v1/b/bucket/o", "objects.insert"),
        ("GET", "/download/storage/v1/b/bucket/o/ledger%2Fx.json", "objects.get"),
        ("GET", "/storage/v1/b/bucket/o", "objects.list"),
        ("GET", "/storage/v1/b/bucket", "buckets.get"),
        ("DELETE", "/storage/v1/b/bucket/o/ledger%2Fx.json", "objects.delete"),
    ],
)
def test_a_request_is_told_by_its_method(verb: str, path: str, method: str) -> None:
    """So that the whole flow's requests to Cloud Storage come to the permissions of the ledger."""
    assert method_of("storage.v1", verb, path) == method
    assert method in STORAGE


def test_a_service_account_is_acted_as_where_that_is_granted_only() -> None:
    everywhere = {name for use in ORCHESTRATOR.on(Resource.PROJECT) for name in use.names}
    assert {name.split(".")[0] for name in everywhere} == {"compute"}


def test_no_permission_is_listed_twice() -> None:
    for account in ACCOUNTS.all:
        names = [name for grant in account.grants for name in grant.names()]
        assert len(names) == len(set(names))


def test_a_role_that_two_accounts_have_is_the_same() -> None:
    assert ACCOUNTS.builder.grants[0].names() == ACCOUNTS.member.grants[0].names()


def test_each_role_is_in_the_form_of_gcloud() -> None:
    definitions = role_definitions()
    assert set(definitions) == set(ACCOUNTS.roles())
    for definition in definitions.values():
        assert set(definition) == {"title", "description", "stage", "includedPermissions"}
        assert definition["title"].startswith("Bakehouse ")
        assert definition["includedPermissions"]


def test_what_is_not_used_is_left_out_of_the_role() -> None:
    whole = set(role_definitions()["bakehouseOrchestrator"]["includedPermissions"])
    (use,) = (u for u in ORCHESTRATOR.on(Resource.PROJECT) if u.purpose == "machine images")
    less = role_definitions(["machine images", "signatures by a key of Cloud KMS"])
    assert set(less["bakehouseOrchestrator"]["includedPermissions"]) == whole - set(use.names)
    assert "bakehouseSigner" not in less, "a role has permissions"


@pytest.mark.parametrize("without", ["bakes", "machine image"])
def test_what_is_always_needed_or_unknown_cannot_be_left_out(without: str) -> None:
    with pytest.raises(UnknownUse, match=f"'{without}' cannot be left out; .*'machine images'"):
        role_definitions([without])
