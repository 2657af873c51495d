"""Subnetworks, private Google access and Cloud NAT."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.unit.preflight.test_quota import BUILDER, REGION

from bakehouse.core.check import State
from bakehouse.preflight.facts import CloudFacts, Nat, Place, Subnet, Unread
from bakehouse.preflight.network import check_networks

if TYPE_CHECKING:
    from bakehouse.core.check import Check

HERE = Place("p", REGION)
NETWORK = "projects/p/global/networks/default"
PATH = f"projects/p/regions/{REGION}/subnetworks/default"
SUBNET = Subnet("default", PATH, NETWORK, private_google_access=False)


def facts(*nats: Nat | Unread, subnet: Subnet | Unread = SUBNET, place: Place = HERE) -> CloudFacts:
    unread = next((nat for nat in nats if isinstance(nat, Unread)), None)
    known = tuple(nat for nat in nats if isinstance(nat, Nat))
    return CloudFacts(
        connection="c",
        project="p",
        subnets={place: subnet if isinstance(subnet, Unread) else (subnet,)},
        nats={place: unread or known},
    )


def one(found: list[Check]) -> Check:
    (check,) = found
    return check


@pytest.mark.parametrize(
    ("nat", "state"),
    [
        (Nat("r", NETWORK), State.OK),
        (Nat("r", NETWORK, (PATH,)), State.OK),
        (Nat("r", NETWORK, (f"{PATH}-other",)), State.WRONG),
        (Nat("r", f"{NETWORK}-other"), State.WRONG),
        (Unread("Required 'compute.routers.list' permission"), State.UNKNOWN),
    ],
)
def test_a_nat_serves_the_subnetworks_of_its_network_that_it_lists(
    nat: Nat | Unread, state: State
) -> None:
    assert one(check_networks(facts(nat), [BUILDER])).state is state


def test_an_external_address_or_private_access_is_a_way_out() -> None:
    addressed = replace(BUILDER, external_ip=True)
    assert one(check_networks(facts(), [addressed])).state is State.OK
    private = replace(SUBNET, private_google_access=True)
    assert one(check_networks(facts(subnet=private), [BUILDER])).state is State.OK


def test_the_same_gap_of_two_recipes_is_told_once() -> None:
    again = replace(BUILDER, file="include/recipes/api.yaml")
    assert one(check_networks(facts(), [BUILDER, again])).state is State.WRONG


def test_the_subnetwork_of_a_shared_vpc_is_looked_for_in_its_project() -> None:
    path = f"projects/host/regions/{REGION}/subnetworks/shared"
    subnet = Subnet("shared", path, "projects/host/global/networks/n", private_google_access=True)
    shared = replace(BUILDER, network="", subnetwork=path)
    known = facts(subnet=subnet, place=Place("host", REGION))
    assert one(check_networks(known, [shared])).state is State.OK


def test_a_subnetwork_that_does_not_exist_is_named_with_its_recipe() -> None:
    check = one(check_networks(facts(), [replace(BUILDER, subnetwork="builders")]))
    assert check.found == (
        "no subnetwork builders in us-central1, which include/recipes/web.yaml needs"
    )
    assert "subnets create builders --network default --region us-central1" in check.remedy
