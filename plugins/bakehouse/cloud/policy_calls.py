"""What the caller may do, by Resource Manager and IAM, and what policies forbid.

The connection's extra may name `resource_manager_endpoint`, such as http://127.0.0.1:8790 or a
private one; it answers the calls of IAM, too.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from bakehouse.cloud.calls import Calls
from bakehouse.core.errors import PermanentError

if TYPE_CHECKING:
    from collections.abc import Sequence

PERMISSIONS_OF_A_CALL = 100  # the most that Resource Manager tests at a time


class PolicyCalls(Calls):
    """Resource Manager v1 and IAM v1. Errors are those of `bakehouse.core.errors`."""

    def granted(self, permissions: Sequence[str]) -> frozenset[str]:
        """Return those of the permissions that the caller has in the project."""
        found = set[str]()
        for start in range(0, len(permissions), PERMISSIONS_OF_A_CALL):
            body = {"permissions": list(permissions[start : start + PERMISSIONS_OF_A_CALL])}
            call = self._projects.testIamPermissions(resource=self.project, body=body)
            found |= set(self._read(call, "test the permissions").get("permissions", []))
        return frozenset(found)

    def may_act_as(self, email: str) -> bool:
        """Whether machines may be given the service account."""
        wanted = "iam.serviceAccounts.actAs"
        call = self._accounts.testIamPermissions(
            resource=f"projects/-/serviceAccounts/{email}", body={"permissions": [wanted]}
        )
        return wanted in self._read(call, f"test {email}").get("permissions", [])

    def is_enforced(self, constraint: str) -> bool:
        """Whether a boolean constraint of the organization policies is enforced in the project."""
        call = self._projects.getEffectiveOrgPolicy(
            resource=f"projects/{self.project}", body={"constraint": f"constraints/{constraint}"}
        )
        policy = self._read(call, f"get the policy {constraint}")
        return bool((policy.get("booleanPolicy") or {}).get("enforced"))

    @cached_property
    def _projects(self) -> Any:
        return self._client_of("cloudresourcemanager", self._other_endpoint()).projects()

    @cached_property
    def _accounts(self) -> Any:
        return self._client_of("iam", self._other_endpoint()).projects().serviceAccounts()

    def _other_endpoint(self) -> str | None:
        endpoint: str | None = self.extras.get("resource_manager_endpoint")
        if self.endpoint and not endpoint:
            raise PermanentError(
                f"the connection {self.gcp_conn_id} has api_endpoint and no"
                " resource_manager_endpoint: set it, else Google's own would be asked"
            )
        return endpoint
