"""Whether machines without an external address reach what they install. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.core.check import Check, State, failed, passed
from bakehouse.images.links import resource_name
from bakehouse.preflight.facts import Unread, unread

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bakehouse.preflight.facts import CloudFacts, Nat, Place, Subnet
    from bakehouse.preflight.needs import MachineNeed

NAME = "network"


def check_networks(facts: CloudFacts, machines: Sequence[MachineNeed]) -> list[Check]:
    """Return a line for each network and region that lacks something, or one that all is well."""
    found = [check for machine in machines for check in _of_machine(facts, machine)]
    once = list({(check.found, check.remedy): check for check in found}.values())
    if wrong := [check for check in once if check.state is not State.OK]:
        return wrong
    said = "; ".join(check.found for check in once)
    return [passed(NAME, said or "no machine needs one")]


def _of_machine(facts: CloudFacts, machine: MachineNeed) -> Iterator[Check]:
    for region in machine.regions:
        place = machine.place(region, str(facts.project))
        subnets = facts.subnets.get(place, ())
        if isinstance(subnets, Unread):
            yield unread(NAME, f"the subnetworks of {region}", subnets)
            continue
        subnet = _subnet(machine, place, subnets)
        if subnet is None:
            yield _no_subnet(machine, place)
        elif machine.external_ip:
            yield passed(NAME, f"{subnet.name} in {region}, with external addresses")
        else:
            yield _way_out(facts, place, subnet)


def _subnet(machine: MachineNeed, place: Place, subnets: Sequence[Subnet]) -> Subnet | None:
    name, network = resource_name(machine.subnetwork), machine.network_path(place)
    return next(
        (
            subnet
            for subnet in subnets
            if (not name or subnet.name == name) and (not network or subnet.network == network)
        ),
        None,
    )


def _no_subnet(machine: MachineNeed, place: Place) -> Check:
    network = resource_name(machine.network) or "NETWORK"
    name = resource_name(machine.subnetwork) or network
    what = f"subnetwork {name}" if machine.subnetwork else f"subnetwork of network {network}"
    return failed(
        NAME,
        f"no {what} in {place.region}, which {machine.file} needs",
        f"gcloud compute networks subnets create {name} --network {network} --region {place.region}"
        f" --range 10.10.0.0/20 --enable-private-ip-google-access --project {place.project}",
    )


def _way_out(facts: CloudFacts, place: Place, subnet: Subnet) -> Check:
    nats = facts.nats.get(place, ())
    if isinstance(nats, Unread):
        if subnet.private_google_access:
            return passed(NAME, f"{subnet.name} in {place.region}: private Google access")
        return unread(NAME, f"the routers of {place.region}", nats)
    if router := _router(nats, subnet):
        return passed(NAME, f"{subnet.name} in {place.region}: Cloud NAT of {router}")
    if subnet.private_google_access:
        return passed(
            NAME,
            f"{subnet.name} in {place.region}: private Google access and no Cloud NAT, so that"
            " packages must come from a mirror inside (bakehouse_apt_mirrors)",
        )
    network = resource_name(subnet.network)
    where = f"--region {place.region} --project {place.project}"
    return failed(
        NAME,
        f"{subnet.name} in {place.region} has neither Cloud NAT nor private Google access: machines"
        " without an external address cannot install packages",
        f"gcloud compute routers create {network}-nat --network {network} {where}"
        f" && gcloud compute routers nats create {network}-nat --router {network}-nat {where}"
        " --auto-allocate-nat-external-ips --nat-all-subnet-ip-ranges",
    )


def _router(nats: Sequence[Nat], subnet: Subnet) -> str:
    return next((nat.router for nat in nats if nat.serves(subnet)), "")
