"""Which members do not run the newest promoted image, from lists alone."""

from __future__ import annotations

from tests.support.resources import BASE, NOW, Resource, image

from bakehouse.fleet.load import load_fleet
from bakehouse.history.pinned import PinnedImage
from bakehouse.housekeeping.drift import Member, drift, regions_of_addresses, running
from bakehouse.images.selection import created_at
from bakehouse.inventory.model import Inventory

ZONE = "us-central1-a"
NEW, OLD = image("web-new", 1), image("web-old", 30)
BY_NAME = load_fleet(
    f"recipe: web\nmembers: {{instances: [web-1, web-2, web-9], zones: [{ZONE}]}}\n", "web.yaml"
)
BY_LABEL = load_fleet(f"recipe: web\nmembers: {{labels: {{a: b}}, zones: [{ZONE}]}}\n", "web.yaml")


def instance(name: str, zone: str = ZONE, boots: bool = True, **labels: str) -> Resource:
    disk = f"https://compute.googleapis.com/compute/v1/projects/p/zones/{zone}/disks/{name}"
    disks = [{"source": f"{disk}-data"}, *([{"boot": True, "source": disk}] if boots else [])]
    return {"name": name, "zone": f"{BASE}/zones/{zone}", "labels": labels, "disks": disks}


def disk(name: str, of: Resource, zone: str = ZONE) -> Resource:
    link = f"{BASE}/zones/{zone}/disks/{name}"
    return {"selfLink": link, "sourceImageId": of["id"], "sourceImage": of["selfLink"]}


def test_drift_names_who_is_behind_and_how_old_its_image_is() -> None:
    gone = image("web-gone", 99)
    inventory = Inventory(
        "p",
        images=(OLD, NEW, image("web-bad", labels={"bakehouse-state": "revoked"})),
        instances=(instance("web-2"), instance("web-1"), instance("web-9"), instance("db-1")),
        disks=(disk("web-1", NEW), disk("web-2", OLD), disk("web-9", gone)),
    )
    found = drift(BY_NAME, inventory, NOW)
    assert (found.newest, found.on_newest) == ("web-new", 1)
    old = Member(
        name="web-2",
        zone=ZONE,
        image="web-old",
        image_id=OLD["id"],
        age_days=30.0,
        image_created=created_at(OLD),
    )
    assert found.behind[0] == old
    assert (found.behind[1].image, found.behind[1].age_days) == ("web-gone", None)


def test_drift_of_a_fleet_by_label_in_its_zones_only() -> None:
    inventory = Inventory(
        "p",
        images=(NEW,),
        instances=(
            instance("x-1", a="b", c="d"),
            instance("x-2", a="c"),
            instance("x-3", zone="us-central1-b", a="b"),
            instance("x-4", boots=False, a="b"),
        ),
        disks=(disk("x-1", NEW),),
    )
    found = drift(BY_LABEL, inventory, NOW)
    assert (found.on_newest, [m.name for m in found.behind]) == (1, ["x-4"])


def test_drift_of_a_recipe_without_an_image() -> None:
    inventory = Inventory("p", instances=(instance("web-1"),), disks=(disk("web-1", OLD),))
    found = drift(BY_NAME, inventory, NOW)
    assert (found.newest, found.on_newest, len(found.behind)) == (None, 0, 1)


def test_members_that_are_ill_or_missing_are_told() -> None:
    inventory = Inventory(
        "p",
        images=(NEW,),
        instances=(instance("web-1"), instance("web-2")),
        disks=(disk("web-1", NEW), disk("web-2", NEW)),
    )
    found = drift(BY_NAME, inventory, NOW, {f"{ZONE}/web-2": "unhealthy: no answer", "z/x": "?"})
    assert (found.behind, found.missing, found.is_none) == ((), ("web-9",), False)
    assert [(m.name, m.zone, m.why) for m in found.ill] == [("web-2", ZONE, "unhealthy: no answer")]
    nobody = drift(BY_LABEL, Inventory("p", images=(NEW,)), NOW)
    assert nobody.missing == ("a=b",)
    labelled = Inventory(
        "p", images=(NEW,), instances=(instance("x-1", a="b"),), disks=(disk("x-1", NEW),)
    )
    assert drift(BY_LABEL, labelled, NOW).is_none


def test_only_those_that_run_can_say_how_they_are() -> None:
    up, down = instance("web-1") | {"status": "RUNNING"}, instance("web-2") | {"status": "STOPPED"}
    other = instance("db-1") | {"status": "RUNNING"}
    assert running(BY_NAME, Inventory("p", instances=(up, down, other))) == [f"{ZONE}/web-1"]


def test_the_members_of_a_group_are_those_that_it_has_made() -> None:
    """By their metadata: whatever their names are, and with the project's number in the link."""
    text = f"recipe: web\nstrategy: mig\nmembers: {{group: web, zones: [{ZONE}]}}\n"
    by_group = load_fleet(text, "web.yaml")

    def made_by(name: str, creator: str) -> Resource:
        return {**instance(name), "metadata": {"items": [{"key": "created-by", "value": creator}]}}

    link = f"projects/1234/zones/{ZONE}/instanceGroupManagers"
    there = (
        made_by("web-a1b2", f"{link}/web"),
        made_by("web-c3d4", f"{link}/web-2"),
        made_by("web-e5f6", "somebody"),
        instance("web"),
    )
    inventory = Inventory("p", images=(NEW,), instances=there, disks=(disk("web-a1b2", OLD),))
    found = drift(by_group, inventory, NOW)
    assert [member.name for member in found.behind] == ["web-a1b2"]
    assert found.missing == ()
    empty = drift(by_group, Inventory("p", images=(NEW,)), NOW)
    assert empty.missing == ("instances of the group web",)


DECLARED = load_fleet(
    f"recipe: web\nmembers: {{instances: [web-1, web-2, web-3], zones: [{ZONE}]}}\n"
    "template: {machine_type: e2-small, disks: [{name: data, size_gb: 1}], network: prod}\n",
    "web.yaml",
)


def declared(name: str, machine_type: str = "e2-small") -> Resource:
    """An instance as the template says, but for its machine type."""
    link = f"{BASE}/zones/{ZONE}/disks/{name}"
    network = f"{BASE}/global/networks/prod"
    own = {"enable-guest-attributes": "TRUE", "bakehouse-role": "member"}
    return {
        "name": name,
        "zone": f"{BASE}/zones/{ZONE}",
        "machineType": f"{BASE}/zones/{ZONE}/machineTypes/{machine_type}",
        "networkInterfaces": [{"network": network}],
        "metadata": {"items": [{"key": key, "value": value} for key, value in own.items()]},
        "disks": [
            {"boot": True, "source": link, "deviceName": "boot"},
            {"source": f"{link}-data", "deviceName": "data"},
        ],
    }


def test_members_that_differ_from_the_template_are_told_with_what_differs() -> None:
    data = {"type": "pd-balanced", "sizeGb": "10"}
    disks = tuple({**disk(f"web-{n}", NEW), **data} for n in (1, 2))
    inventory = Inventory(
        "p",
        images=(NEW,),
        instances=(declared("web-1"), declared("web-2", "e2-micro")),
        disks=disks,
    )
    found = drift(DECLARED, inventory, NOW)
    assert [(m.name, m.differs) for m in found.others] == [
        ("web-2", ("machine_type is e2-micro instead of e2-small",))
    ]
    assert (found.missing, found.is_none) == (("web-3",), False)


def test_members_that_do_not_run_the_image_of_the_last_rollout_have_strayed() -> None:
    inventory = Inventory(
        "p",
        images=(OLD, NEW),
        instances=(instance("web-1"), instance("web-2"), instance("web-9")),
        disks=(disk("web-1", OLD), disk("web-2", NEW), disk("web-9", OLD)),
    )
    found = drift(BY_NAME, inventory, NOW, pinned=PinnedImage(id=OLD["id"], name="web-old"))
    assert (found.pinned, [m.name for m in found.strayed]) == ("web-old", ["web-2"])
    assert [m.name for m in found.behind] == ["web-1", "web-9"]
    assert drift(BY_NAME, inventory, NOW).strayed == (), "nobody knows the last rollout"


def test_an_address_that_is_not_the_reserved_one_is_told() -> None:
    text = (
        f"recipe: web\nmembers: {{instances: [{{name: web-1, address: ip}}], zones: [{ZONE}]}}\n"
        "template: {machine_type: e2-small, disks: [{name: data, size_gb: 1}], network: prod,"
        " subnetwork: regions/us-central1/subnetworks/s}\n"
    )
    fleet = load_fleet(text, "web.yaml")
    assert regions_of_addresses(fleet) == {"us-central1"}
    assert regions_of_addresses(DECLARED) == set()
    has = declared("web-1")
    link = f"{BASE}/regions/us-central1/subnetworks/s"
    has["networkInterfaces"][0] |= {"networkIP": "10.0.0.2", "subnetwork": link}
    inventory = Inventory("p", images=(NEW,), instances=(has,), disks=())
    reserved = {"us-central1": {"ip": {"name": "ip", "address": "10.0.0.9"}}}
    found = drift(fleet, inventory, NOW, addresses=reserved)
    assert [m.differs for m in found.others] == [("address is 10.0.0.2 instead of 10.0.0.9 (ip)",)]


def test_an_instance_that_was_created_for_a_fleet_and_is_not_declared_any_more_is_named() -> None:
    there = {**instance("web-7"), "labels": {"bakehouse-fleet": "web"}}
    other = {**instance("db-1"), "labels": {"bakehouse-fleet": "db"}}
    found = drift(BY_NAME, Inventory("p", images=(NEW,), instances=(there, other)), NOW)
    assert (found.undeclared, found.is_none) == (("web-7",), False)
