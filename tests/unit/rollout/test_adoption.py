"""A fleet file from instances: what is shared, what differs, what is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from bakehouse.fleet.load import load_fleet
from bakehouse.images.links import zone_of
from bakehouse.rollout.adoption import Adoption, adopt
from bakehouse.rollout.declared_fleet import Around, by_name, by_path
from bakehouse.rollout.differences import differences

if TYPE_CHECKING:
    from collections.abc import Mapping

URL = "https://www.googleapis.com/compute/v1/projects/p"
OURS = {"enable-guest-attributes": "TRUE", "bakehouse-role": "member"}
SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def disk(name: str, zone: str, size: int = 10, **more: Any) -> dict[str, Any]:
    link = f"{URL}/zones/{zone}/disks/{name}"
    kind = f"{URL}/zones/{zone}/diskTypes/pd-balanced"
    form = {"name": name, "selfLink": link, "zone": f"{URL}/zones/{zone}", "type": kind}
    return {**form, "sizeGb": str(size), "sourceImage": "i", "sourceImageId": "1", **more}


def instance(
    name: str, zone: str = "us-central1-a", metadata: Mapping[str, str] = OURS, **more: Any
) -> dict[str, Any]:
    nic = {
        "network": f"{URL}/global/networks/default",
        "subnetwork": f"{URL}/regions/us-central1/subnetworks/default",
        "networkIP": "10.0.0.2",
    }
    return {
        "name": name,
        "id": "1",
        "status": "RUNNING",
        "zone": f"{URL}/zones/{zone}",
        "selfLink": f"{URL}/zones/{zone}/instances/{name}",
        "machineType": f"{URL}/zones/{zone}/machineTypes/e2-small",
        "disks": [
            {"boot": True, "deviceName": "boot", "source": f"{URL}/zones/{zone}/disks/{name}"},
            {"deviceName": "data", "source": f"{URL}/zones/{zone}/disks/{name}-data"},
        ],
        "networkInterfaces": [nic],
        "metadata": {"items": [{"key": k, "value": v} for k, v in metadata.items()]},
        **more,
    }


def around(*instances: dict[str, Any], **addresses: str) -> Around:
    disks = [
        found
        for one in instances
        for found in (
            disk(one["name"], zone_of(one), 20),
            disk(f"{one['name']}-data", zone_of(one), 100),
        )
    ]
    reserved = [{"name": name, "address": address} for name, address in addresses.items()]
    return Around(disks=by_path(disks), addresses={"us-central1": by_name(reserved)})


def adopted(*instances: dict[str, Any], **addresses: str) -> tuple[Adoption, dict[str, Any]]:
    made = adopt("shop", "web", instances, around(*instances, **addresses))
    form = yaml.safe_load(made.text)
    assert load_fleet(made.text, "include/fleets/shop.yaml").template is not None
    return made, form


def drift(made: Adoption, *instances: dict[str, Any], **addresses: str) -> list[str]:
    fleet = load_fleet(made.text, "include/fleets/shop.yaml")
    assert fleet.template is not None
    seen = around(*instances, **addresses)
    reserved = seen.addresses["us-central1"]
    return [
        f"{one.name}: {found}"
        for one, has in zip(fleet.members.declared, instances, strict=True)
        for found in differences(fleet.template, one, has, seen.disks, reserved)
    ]


def test_what_is_shared_is_the_template_and_what_differs_the_members() -> None:
    first = instance("web-1", metadata={**OURS, "cluster": "main", "rack": "a"})
    second = instance("web-2", "us-central1-b", {**OURS, "cluster": "main", "rack": "b"})
    made, form = adopted(first, second)
    assert form["template"] == {
        "machine_type": "e2-small",
        "boot_disk": {"size_gb": 20, "type": "pd-balanced"},
        "disks": [{"name": "data", "size_gb": 100, "type": "pd-balanced"}],
        "metadata": {"cluster": "main"},
    }
    assert form["members"]["instances"] == [
        {"name": "web-1", "zone": "us-central1-a", "metadata": {"rack": "a"}},
        {"name": "web-2", "zone": "us-central1-b", "metadata": {"rack": "b"}},
    ]
    assert made.remarks == ()
    assert drift(made, first, second) == []


def test_reserved_addresses_network_account_tags_and_labels_are_kept() -> None:
    nic = {
        "network": f"{URL}/global/networks/shop",
        "subnetwork": f"{URL}/regions/us-central1/subnetworks/shop-a",
        "networkIP": "10.0.0.7",
        "accessConfigs": [{"natIP": "203.0.113.7"}],
    }
    account = [{"email": "web@p.iam.gserviceaccount.com", "scopes": [SCOPE]}]
    one = instance("web-1", tags={"items": ["http", "web"]}, labels={"team": "web"})
    one |= {"networkInterfaces": [nic], "serviceAccounts": account}
    addresses = {"inside": "10.0.0.7", "outside": "203.0.113.7"}
    made, form = adopted(one, **addresses)
    (member,) = form["members"]["instances"]
    assert (member["address"], member["external_address"]) == ("inside", "outside")
    template = form["template"]
    assert (template["subnetwork"], template["tags"]) == ("shop-a", ["http", "web"])
    assert template["service_account"] == "web@p.iam.gserviceaccount.com"
    assert template["labels"] == {"team": "web"}
    assert "external_ip" not in template
    assert made.remarks == ()
    assert drift(made, one, **addresses) == []


def test_an_address_that_is_not_reserved_and_a_local_ssd_are_told() -> None:
    one = instance("web-1")
    one["networkInterfaces"][0]["accessConfigs"] = [{"natIP": "203.0.113.9"}]
    one["disks"].append({"type": "SCRATCH", "deviceName": "ssd"})
    made, form = adopted(one)
    assert form["template"]["external_ip"] is True
    told = "\n".join(map(str, made.remarks))
    assert "web-1: its external address 203.0.113.9 is not reserved" in told
    assert "--region=us-central1 --addresses=203.0.113.9" in told
    assert "web-1: it has a local SSD, whose data are lost" in told


def test_a_member_unlike_the_others_is_told_and_the_most_make_the_template() -> None:
    odd = instance("web-3")
    odd["machineType"] = f"{URL}/zones/us-central1-a/machineTypes/e2-medium"
    made, form = adopted(instance("web-1"), instance("web-2"), odd)
    assert form["template"]["machine_type"] == "e2-small"
    assert [str(one) for one in made.remarks] == [
        "web-3: its machine_type is e2-medium, that of the template is e2-small"
    ]


def test_a_secret_is_a_reference_where_somebody_can_read_it_and_else_left_out() -> None:
    account = [{"email": "web@p.iam.gserviceaccount.com", "scopes": [SCOPE]}]
    secret = {**OURS, "db_password": "hunter2", "color": "red"}
    made, form = adopted(instance("web-1", metadata=secret, serviceAccounts=account))
    assert form["template"]["metadata"] == {
        "color": "red",
        "db_password": "secret://shop-web-1-db-password",
    }
    assert "hunter2" not in made.text + "".join(map(str, made.remarks))
    without, form = adopted(instance("web-1", metadata=secret))
    assert form["template"]["metadata"] == {"color": "red"}
    assert [one.kind for one in without.remarks] == ["secret"]


def test_metadata_that_every_member_needs_come_with_the_command() -> None:
    made, _ = adopted(instance("web-1", metadata={"startup-script": "true"}))
    told = "\n".join(map(str, made.remarks))
    assert (
        "gcloud compute instances add-metadata web-1 --zone=us-central1-a"
        " --metadata=bakehouse-role=member,enable-guest-attributes=TRUE" in told
    )
    assert "its startup-script runs at each boot" in told
