"""Subnetworks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.api.method import Call, method
from localgce.core import errors, links
from localgce.http.listing import list_of, page_of, regional
from localgce.networks import commands

if TYPE_CHECKING:
    from localgce.core.errors import Json

_USABLE = ("network", "ipCidrRange", "purpose", "stackType", "secondaryIpRanges")


@method("compute.subnetworks.insert")
def insert(call: Call) -> Json:
    """Create a subnetwork of a network in custom mode."""
    return commands.insert_subnetwork(call.context, call.body).body


@method("compute.subnetworks.get")
def get(call: Call) -> Json:
    """One subnetwork."""
    return call.record().body


@method("compute.subnetworks.list")
def list_(call: Call) -> Json:
    """The subnetworks of a region."""
    return list_of(call, "subnetwork", [record.body for record in call.records()])


@method("compute.subnetworks.aggregatedList")
def aggregated_list(call: Call) -> Json:
    """The subnetworks of all regions."""
    bodies = [record.body for record in call.records(everywhere=True)]
    return regional(call, "subnetwork", bodies)


@method("compute.subnetworks.listUsable")
def list_usable(call: Call) -> Json:
    """The subnetworks of all regions, by what an instance needs to know of them."""
    page, token = page_of(call, [record.body for record in call.records(everywhere=True)])
    path = f"projects/{call.context.project}/aggregated/subnetworks/listUsable"
    shown: Json = {
        "kind": "compute#usableSubnetworksAggregatedList",
        "id": path,
        "selfLink": links.url(path),
        "items": [
            {"subnetwork": body["selfLink"], **{key: body[key] for key in _USABLE if key in body}}
            for body in page
        ],
    }
    return {**shown, "nextPageToken": token} if token else shown


@method("compute.subnetworks.patch")
def patch(call: Call) -> Json:
    """Change what does not move addresses."""
    return commands.patch_subnetwork(call.context, call.record(), call.body).body


@method("compute.subnetworks.setPrivateIpGoogleAccess")
def set_private_ip_google_access(call: Call) -> Json:
    """Record whether machines without an external address reach Google's APIs."""
    wanted = bool(call.body.get("privateIpGoogleAccess", False))
    changes = {"privateIpGoogleAccess": wanted}
    return commands.patch_subnetwork(call.context, call.record(), changes).body


@method("compute.subnetworks.expandIpCidrRange")
def expand_ip_cidr_range(call: Call) -> Json:
    """Enlarge the range of addresses."""
    if "ipCidrRange" not in call.body:
        raise errors.required("ipCidrRange")
    return commands.expand(call.context, call.record(), call.body["ipCidrRange"]).body


@method("compute.subnetworks.delete")
def delete(call: Call) -> Json:
    """Delete a subnetwork that no instance uses."""
    return commands.delete_subnetwork(call.context, call.record()).body
