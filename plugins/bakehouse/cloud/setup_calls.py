"""The reads of Compute Engine that a check of the set-up makes: quotas, networks, machine types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.auth.credentials import AnonymousCredentials

from bakehouse.cloud.calls import authentication_errors
from bakehouse.cloud.compute_hook import ComputeHook
from bakehouse.core.errors import PermanentError

if TYPE_CHECKING:
    from bakehouse.cloud.calls import Resource


class SetupCalls(ComputeHook):
    """Reads that no bake and no rollout makes. Errors are those of `bakehouse.core.errors`."""

    def authenticate(self) -> str:
        """Fetch a token; return the e-mail of its account, empty where that is not known.

        Raises:
            PermanentError: The connection names no project, or its credentials are refused.
            TransientError: Google's token server did not answer.
        """
        with authentication_errors(f"the connection {self.gcp_conn_id}"):
            if not self.project_id:
                raise PermanentError(f"the connection {self.gcp_conn_id} names no project")
            credentials = self.get_credentials()
            if isinstance(credentials, AnonymousCredentials):
                return ""
            from google.auth.transport.requests import Request

            if not credentials.valid:
                credentials.refresh(Request())  # type: ignore[no-untyped-call]
            return str(getattr(credentials, "service_account_email", "") or "")

    def project_resource(self) -> Resource:
        """Read the project as Compute Engine has it."""
        call = self._client.projects().get(project=self.project)
        return self._read(call, f"get project {self.project}")

    def region(self, name: str) -> Resource:
        """Read a region, with its quotas."""
        call = self._client.regions().get(project=self.project, region=name)
        return self._read(call, f"get region {name}")

    def machine_type(self, zone: str, name: str) -> Resource | None:
        """Read a machine type; None if the zone has none of that name."""
        call = self._client.machineTypes().get(project=self.project, zone=zone, machineType=name)
        return self._find(call, f"get machine type {name}")

    def subnetworks(self, project: str, region: str) -> list[Resource]:
        """List the subnetworks of a region."""
        api, doing = self._client.subnetworks(), f"list subnetworks of {region}"
        return self._pages(api.list, api.list_next, doing, project=project, region=region)

    def routers(self, project: str, region: str) -> list[Resource]:
        """List the routers of a region, with their Cloud NAT."""
        api, doing = self._client.routers(), f"list routers of {region}"
        return self._pages(api.list, api.list_next, doing, project=project, region=region)

    def may_use_image(self, project: str, image: str) -> bool:
        """Whether a disk may be made of the image."""
        wanted = "compute.images.useReadOnly"
        call = self._client.images().testIamPermissions(
            project=project, resource=image, body={"permissions": [wanted]}
        )
        found = self._read(call, f"test the permissions of image {image}")
        return wanted in found.get("permissions", [])
