"""What is asked beside Compute Engine: permissions of projects and accounts, and their policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from .gce import Gce

ASKED = ["compute.instances.create", "compute.images.create"]
CONSTRAINT = "constraints/compute.disableGuestAttributesAccess"


@pytest.fixture
def faulty(instant: Gce) -> Iterator[Gce]:
    yield instant
    instant.admin("DELETE", "faults")


def post(gce: Gce, path: str, **body: Any) -> httpx.Response:
    return gce.http.post(path, json=body)


@pytest.mark.parametrize(
    "resource",
    [
        "v1/projects/demo",
        "v3/projects/demo",
        "v1/projects/-/serviceAccounts/a@demo.iam.gserviceaccount.com",
    ],
)
def test_a_denied_permission_is_not_among_those_of_the_caller(faulty: Gce, resource: str) -> None:
    path = f"/{resource}:testIamPermissions"
    assert post(faulty, path, permissions=ASKED).json() == {"permissions": ASKED}
    faulty.admin("POST", "faults", {"kind": "deny_permission", "permission": "*.images.*"})
    assert post(faulty, path, permissions=ASKED).json() == {"permissions": ASKED[:1]}
    faulty.admin("POST", "faults", {"kind": "deny_permission", "permission": "compute.*"})
    assert post(faulty, path, permissions=ASKED).json() == {}


def test_what_resource_manager_refuses_is_refused(faulty: Gce) -> None:
    tested = "/v1/projects/demo:testIamPermissions"
    assert post(faulty, tested, permissions=["a.b.c"] * 101).status_code == 400
    assert post(faulty, tested.replace("demo", "other"), permissions=ASKED).status_code == 404
    unknown = post(faulty, "/v1/projects/demo:setIamPolicy")
    assert (unknown.status_code, unknown.json()["error"]["message"]) == (
        501,
        "localgce does not implement cloudresourcemanager.projects.setIamPolicy",
    )
    method = "cloudresourcemanager.projects.testIamPermissions"
    faulty.admin("POST", "faults", {"kind": "http", "method": method, "status": 403})
    assert post(faulty, tested, permissions=ASKED).status_code == 403
    logged = faulty.admin("GET", f"requests?method={method}")["requests"][-1]
    assert (logged["resource"], logged["status"]) == ("demo", 403)


def test_a_policy_is_enforced_when_a_fault_says_so(faulty: Gce) -> None:
    path = "/v1/projects/demo:getEffectiveOrgPolicy"
    free = {"constraint": CONSTRAINT, "booleanPolicy": {}}
    assert post(faulty, path, constraint=CONSTRAINT).json() == free
    faulty.admin("POST", "faults", {"kind": "enforce_org_policy", "constraint": CONSTRAINT})
    assert post(faulty, path, constraint=CONSTRAINT).json()["booleanPolicy"] == {"enforced": True}
    faulty.admin("POST", "faults", {"kind": "deny_permission", "permission": "orgpolicy.*"})
    assert post(faulty, path, constraint=CONSTRAINT).status_code == 403


def test_a_router_keeps_its_nat(instant: Gce) -> None:
    path = "regions/us-central1/routers"
    body = {"name": "nat", "network": "global/networks/default"}
    instant.do("POST", path, body)
    nat = {
        "name": "all",
        "natIpAllocateOption": "AUTO_ONLY",
        "sourceSubnetworkIpRangesToNat": "ALL_SUBNETWORKS_ALL_IP_RANGES",
    }
    # Terraform's provider sends this one too, which the API does not have
    instant.do("PATCH", f"{path}/nat", {"nats": [{**nat, "initialNatIps": []}]})
    assert instant.get(f"{path}/nat")["nats"] == [nat]
    full = {**nat, "initialNatIps": ["regions/us-central1/addresses/one"]}
    instant.fails(400, "invalid", "PATCH", f"{path}/nat", {"nats": [full]})
    everywhere = instant.get("aggregated/routers")["items"]["regions/us-central1"]
    assert [router["name"] for router in everywhere["routers"]] == ["nat"]
    instant.fails(400, "required", "POST", path, {"name": "lost"})
    instant.do("DELETE", f"{path}/nat")
