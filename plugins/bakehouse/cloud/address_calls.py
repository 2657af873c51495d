"""Calls about reserved addresses, which outlive the instances that use them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.cloud.calls import Calls

if TYPE_CHECKING:
    from bakehouse.cloud.calls import Resource


class AddressCalls(Calls):
    """Reserve, read and release addresses of a region."""

    def address(self, region: str, name: str) -> Resource | None:
        """The reserved address, or None."""
        call = self._client.addresses().get(project=self.project, region=region, address=name)
        return self._find(call, f"get address {name}")

    def addresses(self, region: str) -> list[Resource]:
        """A region's reserved addresses."""
        api = self._client.addresses()
        return self._pages(api.list, api.list_next, f"list addresses of {region}", region=region)

    def insert_address(self, region: str, body: Resource, request_id: str) -> Resource | None:
        """Reserve an address; the operation, or None if this run has reserved it already."""
        name = body["name"]
        call = self._client.addresses().insert(
            project=self.project, region=region, body=body, requestId=request_id
        )
        return self._create(
            call, f"reserve address {name}", lambda: self.address(region, name), body["labels"]
        )

    def delete_address(self, region: str, name: str, request_id: str) -> Resource | None:
        """Release an address; None if it does not exist any more."""
        call = self._client.addresses().delete(
            project=self.project, region=region, address=name, requestId=request_id
        )
        return self._remove(call, f"release address {name}")
