"""IAM policies of resources: stored, answered again, and not enforced.

What a caller may do is decided by faults of the kind `deny_permission` alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.api.method import Call, method
from localgce.core.errors import ApiError
from localgce.core.ids import fingerprint

if TYPE_CHECKING:
    from localgce.core.errors import Json
    from localgce.core.store import Record

_WITH_POLICY = (
    *("disks", "images", "instances", "instanceTemplates", "machineImages", "reservations"),
    *("regionDisks", "resourcePolicies", "snapshots", "subnetworks"),
)
_TESTED_ONLY = (
    *("addresses", "autoscalers", "firewalls", "globalAddresses", "healthChecks"),
    *("instanceGroups", "regionAutoscalers", "regionHealthChecks", "regionInstanceGroups"),
    "routes",
)


@method(*(f"compute.{resource}.getIamPolicy" for resource in _WITH_POLICY))
def get_iam_policy(call: Call) -> Json:
    """The policy that was set, or an empty one."""
    return _policy(_record(call))


@method(*(f"compute.{resource}.setIamPolicy" for resource in _WITH_POLICY))
def set_iam_policy(call: Call) -> Json:
    """Replace the policy; raises 409 when the given etag is not the current one."""
    record = _record(call)
    # clients of an earlier API give the bindings beside the policy
    given = call.body.get("policy") or {k: v for k, v in call.body.items() if k != "policy"}
    etag = given.get("etag")
    if etag and etag != _policy(record)["etag"]:
        text = "There were concurrent policy changes. Please retry the whole read-modify-write."
        raise ApiError(409, "aborted", text)
    kept = {key: given[key] for key in ("auditConfigs", "bindings", "version") if key in given}
    changed = call.context.store.put(record.kept(policy=kept))
    return _policy(changed)


@method(*(f"compute.{resource}.testIamPermissions" for resource in (*_WITH_POLICY, *_TESTED_ONLY)))
def test_iam_permissions(call: Call) -> Json:
    """Those of the given permissions that no fault denies."""
    faults = call.context.core.faults
    asked: list[str] = call.body.get("permissions", [])
    allowed = [permission for permission in asked if not faults.denies(permission)]
    return {"permissions": allowed} if allowed else {}


def _record(call: Call) -> Record:
    return call.context.find(call.method.collection, call.path["resource"])


def _policy(record: Record) -> Json:
    policy: Json = record.private.get("policy", {})
    return {"version": 1, **policy, "etag": fingerprint(policy)}
