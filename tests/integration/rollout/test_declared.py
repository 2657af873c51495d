"""A declared fleet against a real localgce: members are created, recreated, and taken back."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from tests.flow.fleet import HERE, ZONE
from tests.support.deadlines import SOON
from tests.support.ledger import of_kind, read_ledger

from bakehouse.fleet.load import load_fleet
from bakehouse.history.location import ledger_url
from bakehouse.history.overview import ROLLED_BACK, rollouts
from bakehouse.history.rollout_events import MemberReplacedEvent
from bakehouse.rollout.differences import differences
from bakehouse.rollout.guest_orders import GuestOrders
from bakehouse.rollout.plan import RolloutPlan
from devstack.waiting import wait_until

from .walk import Rollout

if TYPE_CHECKING:
    from bakehouse.rollout.orders import Answer, Order
    from devstack.gce_api import Compute

    from .conftest import Images

FLEET = f"""\
recipe: web
members:
  instances:
    - {{name: web-1, metadata: {{color: red}}}}
    - {{name: web-2, address: web-2, metadata: {{color: blue}}}}
  zones: [{ZONE}]
template:
  machine_type: e2-small
  disks: [{{name: data, size_gb: 1}}]
  metadata: {{greeting: hello}}
  labels: {{team: web}}
  tags: [http]
stages: [1, 100%]
health_deadline: 20s
"""
REGION = f"regions/{ZONE.rpartition('-')[0]}"
RUNS = count(1)


def rollout(image: str, text: str = FLEET) -> Rollout:
    return Rollout(load_fleet(text, "fleets/web.yaml"), f"declared__{next(RUNS)}", image)


def instance(compute: Compute, name: str) -> dict[str, Any]:
    found: dict[str, Any] = compute.call("GET", f"{HERE}/instances/{name}")
    return found


def disks(compute: Compute) -> dict[str, Any]:
    return {str(disk["name"]): disk for disk in compute.disks()}


def addresses(compute: Compute) -> dict[str, Any]:
    found = compute.call("GET", f"{REGION}/addresses")
    return {str(address["name"]): address for address in found.get("items", [])}


def image_of(compute: Compute, name: str) -> str:
    boot = next(d for d in instance(compute, name)["disks"] if d["boot"])
    source: str = disks(compute)[boot["source"].rsplit("/", 1)[-1]]["sourceImage"]
    return source.rsplit("/", 1)[-1]


@pytest.fixture(autouse=True)
def no_addresses(compute: Compute) -> Any:
    yield
    compute.delete_machines()
    for name in addresses(compute):
        compute.call("DELETE", f"{REGION}/addresses/{name}")
    wait_until(lambda: not addresses(compute), SOON, "no address", every=0.05)


def test_missing_members_are_created_from_the_image_and_the_template(
    compute: Compute, images: Images
) -> None:
    run = rollout(images.new)
    assert run.through() == "success", run.errors
    plan = RolloutPlan.model_validate(run.xcom("plan"))
    assert [[change.name for change in stage] for stage in plan.stages] == [["web-1"], ["web-2"]]
    for name, color in (("web-1", "red"), ("web-2", "blue")):
        made = instance(compute, name)
        assert image_of(compute, name) == images.new
        assert made["status"] == "RUNNING"
        assert made["machineType"].endswith("/e2-small")
        assert made["tags"]["items"] == ["http"]
        assert {i["key"]: i["value"] for i in made["metadata"]["items"]} == {
            "color": color,
            "greeting": "hello",
            "enable-guest-attributes": "TRUE",
            "bakehouse-role": "member",
            "bakehouse-new-fleet": plan.run,
        }
        assert "accessConfigs" not in made["networkInterfaces"][0], "no public address"
        owned = {"team": "web", "bakehouse-fleet": "web", "bakehouse-member": name}
        assert made["labels"].items() >= owned.items()
        boot, data = made["disks"]
        assert (boot["autoDelete"], data["autoDelete"]) == (True, False)
        assert (data["deviceName"], data["source"].rsplit("/", 1)[-1]) == ("data", f"{name}-data")
        assert disks(compute)[f"{name}-data"]["labels"].items() >= owned.items()
    address = addresses(compute)["web-2"]
    assert instance(compute, "web-2")["networkInterfaces"][0]["networkIP"] == address["address"]
    written = of_kind(MemberReplacedEvent, read_ledger(ledger_url(), run.run_id))
    assert {event.detail.member for event in written} == {"web-1", "web-2"}


def is_told_that_the_fleet_is_new(compute: Compute, name: str) -> bool:
    items = instance(compute, name)["metadata"]["items"]
    return any(item["key"] == "bakehouse-new-fleet" for item in items)


@pytest.mark.long
def test_the_fleet_is_not_new_where_an_instance_or_a_data_disk_of_it_exists(
    compute: Compute, images: Images
) -> None:
    """What could be data: a member that lacks its disk must not take itself for the first one."""
    compute.call("POST", f"{HERE}/disks", json={"name": "web-2-data", "sizeGb": "1"})
    wait_until(lambda: "web-2-data" in disks(compute), SOON, "the disk", every=0.05)
    assert rollout(images.old).through() == "success"
    assert not any(is_told_that_the_fleet_is_new(compute, f"web-{n}") for n in (1, 2))
    compute.call("DELETE", f"{HERE}/instances/web-1")
    wait_until(lambda: len(compute.instances()) == 1, SOON, "web-1 to go", every=0.05)
    compute.call("DELETE", f"{HERE}/disks/web-1-data")
    wait_until(lambda: "web-1-data" not in disks(compute), SOON, "its disk to go", every=0.05)
    assert rollout(images.old).through() == "success"
    assert not is_told_that_the_fleet_is_new(compute, "web-1")


@pytest.mark.long
def test_the_first_order_takes_away_that_the_fleet_is_new(compute: Compute, images: Images) -> None:
    text = FLEET.replace("color: red}", "color: red, instant-resume: welcome}")
    assert rollout(images.old, text).through() == "success"
    told = {name: is_told_that_the_fleet_is_new(compute, name) for name in ("web-1", "web-2")}
    assert told == {"web-1": False, "web-2": True}, "web-2 has nothing to resume"
    assert rollout(images.new, text).through() == "success"


@pytest.mark.long
def test_a_second_rollout_of_a_created_fleet_swaps_and_touches_nothing_else(
    compute: Compute, images: Images
) -> None:
    assert rollout(images.old).through() == "success"
    ids = {name: instance(compute, name)["id"] for name in ("web-1", "web-2")}
    data = {name: disk["id"] for name, disk in disks(compute).items() if name.endswith("-data")}
    assert rollout(images.new).through() == "success"
    assert {name: instance(compute, name)["id"] for name in ids} == ids
    assert [image_of(compute, name) for name in ids] == [images.new, images.new]
    assert {n: disk["id"] for n, disk in disks(compute).items() if n.endswith("-data")} == data
    assert len(disks(compute)) == 4, "the old boot disks are deleted"


@pytest.mark.long
def test_what_was_created_is_deleted_again_if_a_member_fails_and_older_data_stays(
    compute: Compute, images: Images
) -> None:
    """The second one lacks the color that the new image needs."""
    body = {"name": "web-1-data", "sizeGb": "1"}
    compute.call("POST", f"{HERE}/disks", json=body)
    wait_until(lambda: "web-1-data" in disks(compute), SOON, "the disk", every=0.05)
    old = disks(compute)["web-1-data"]["id"]
    run = rollout(images.new, FLEET.replace("metadata: {color: blue}", "metadata: {}"))
    assert run.through() == "failed"
    assert compute.instances() == []
    assert {name: disk["id"] for name, disk in disks(compute).items()} == {"web-1-data": old}
    assert addresses(compute) == {}
    assert [run.xcom("roll_back", "return_value", n)["state"] for n in (0, 1)] == ["removed"] * 2
    written = read_ledger(ledger_url(), run.run_id)
    (row,) = rollouts(sorted(written, key=lambda event: event.happened))
    assert row.state == ROLLED_BACK


@pytest.mark.long
def test_a_created_member_that_serves_is_asked_and_drained_before_it_is_deleted_again(
    compute: Compute, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bakehouse.rollout.guest_orders.PAUSES", (0.05,))
    given: list[tuple[str, str]] = []
    ask = GuestOrders.ask

    async def noted(self: GuestOrders, order: Order, *rest: Any, **more: Any) -> Answer | None:
        given.append((self.name, order.value))
        return await ask(self, order, *rest, **more)

    monkeypatch.setattr(GuestOrders, "ask", noted)
    scripts = "metadata: {color: red, instant-gate: well, instant-drain: moved 3}"
    text = FLEET.replace("metadata: {color: red}", scripts)
    run = rollout(images.new, text.replace("metadata: {color: blue}", "metadata: {}"))
    assert run.through() == "failed"
    assert given == [("web-1", "gate"), ("web-1", "drain")]
    assert compute.instances() == []


def test_a_data_disk_of_the_right_name_is_used_and_never_made_again(
    compute: Compute, images: Images
) -> None:
    body = {"name": "web-1-data", "sizeGb": "2"}
    compute.call("POST", f"{HERE}/disks", json=body)
    wait_until(lambda: "web-1-data" in disks(compute), SOON, "the disk", every=0.05)
    old = disks(compute)["web-1-data"]["id"]
    assert rollout(images.new).through() == "success"
    assert disks(compute)["web-1-data"]["id"] == old
    assert disks(compute)["web-1-data"]["users"]


@pytest.mark.long
def test_a_member_whose_data_disk_another_instance_has_is_left_with_the_reason(
    compute: Compute, images: Images
) -> None:
    text = FLEET.replace("web-1", "web-3")
    assert rollout(images.old).through() == "success"
    compute.call("DELETE", f"{HERE}/instances/web-1")
    wait_until(lambda: len(compute.instances()) == 1, SOON, "web-1 to go", every=0.05)
    other = {
        "name": "other",
        "machineType": f"{HERE}/machineTypes/e2-small",
        "networkInterfaces": [{"network": "global/networks/default"}],
        "disks": [
            {"boot": True, "initializeParams": {"sourceImage": f"global/images/{images.old}"}},
            {"source": f"{HERE}/disks/web-1-data"},
        ],
    }
    compute.call("POST", f"{HERE}/instances", json=other)
    wait_until(lambda: len(compute.instances()) == 2, SOON, "the other", every=0.05)
    run = rollout(images.new)
    assert run.through() == "success", run.errors
    (skipped,) = RolloutPlan.model_validate(run.xcom("plan")).skipped
    assert (skipped.name, skipped.reason) == ("web-1", "data_disk_in_use")
    assert skipped.detail == "attached are web-1-data to other"
    assert text != FLEET


def test_without_create_missing_a_missing_member_ends_the_rollout_before_anything_changes(
    compute: Compute, images: Images
) -> None:
    run = rollout(images.new, FLEET + "create_missing: false\n")
    run.begin()
    assert "web-1 does not exist in us-central1-a" in str(run.errors["plan"])
    assert (compute.instances(), compute.disks()) == ([], [])


RECREATES = FLEET + "strategy: recreate\n"
LARGER = RECREATES.replace("e2-small", "e2-medium")


@pytest.mark.long
def test_where_only_the_image_differs_a_fleet_that_recreates_swaps_in_place(
    compute: Compute, images: Images
) -> None:
    assert rollout(images.old).through() == "success"
    before = instance(compute, "web-1")["id"]
    assert rollout(images.new, RECREATES).through() == "success"
    assert instance(compute, "web-1")["id"] == before


@pytest.mark.long
def test_what_differs_from_the_template_is_mended_by_recreating_with_data_and_address(
    compute: Compute, images: Images
) -> None:
    assert rollout(images.old).through() == "success"
    before = {name: instance(compute, name) for name in ("web-1", "web-2")}
    data = {name: disk["id"] for name, disk in disks(compute).items() if name.endswith("-data")}
    run = rollout(images.new, LARGER)
    assert run.through() == "success", run.errors
    for name, was in before.items():
        now = instance(compute, name)
        assert now["id"] != was["id"]
        assert now["machineType"].endswith("/e2-medium")
        assert image_of(compute, name) == images.new
        assert now["disks"][1]["source"] == was["disks"][1]["source"]
    assert {n: disk["id"] for n, disk in disks(compute).items() if n.endswith("-data")} == data
    ip = addresses(compute)["web-2"]["address"]
    assert instance(compute, "web-2")["networkInterfaces"][0]["networkIP"] == ip
    assert len(disks(compute)) == 4, "the old boot disks are deleted"


@pytest.mark.long
def test_drift_alone_is_mended_though_every_member_runs_the_image(
    compute: Compute, images: Images
) -> None:
    assert rollout(images.new).through() == "success"
    run = rollout(images.new, LARGER)
    assert run.through() == "success", run.errors
    assert instance(compute, "web-1")["machineType"].endswith("/e2-medium")
    found = instance(compute, "web-1")
    fleet = load_fleet(LARGER, "fleets/web.yaml")
    assert fleet.template is not None
    by_path = {disk["selfLink"].partition("v1/")[2]: disk for disk in compute.disks()}
    one = fleet.members.declared[0]
    assert differences(fleet.template, one, found, by_path, addresses(compute)) == ()


GREEN = FLEET.replace("greeting: hello", "greeting: good day, colour: green") + (
    "strategy: recreate\n"
)


def metadata_of(instance: dict[str, Any]) -> dict[str, str]:
    """All but what the first order takes away."""
    items = {item["key"]: item["value"] for item in instance["metadata"]["items"]}
    return {key: value for key, value in items.items() if key != "bakehouse-new-fleet"}


@pytest.mark.long
def test_other_metadata_of_the_template_are_rendered_in_place_and_nobody_is_stopped(
    compute: Compute, images: Images
) -> None:
    assert rollout(images.new).through() == "success"
    before = {name: instance(compute, name) for name in ("web-1", "web-2")}
    run = rollout(images.new, GREEN)
    assert run.through() == "success", run.errors
    plan = RolloutPlan.model_validate(run.xcom("plan"))
    assert [len(stage) for stage in plan.stages] == [1, 1], "through the same stages"
    for name, was in before.items():
        now = instance(compute, name)
        assert (now["id"], now["lastStartTimestamp"]) == (was["id"], was["lastStartTimestamp"])
        wanted = {**metadata_of(was), "greeting": "good day", "colour": "green"}
        assert metadata_of(now) == wanted
    again = rollout(images.new, GREEN)
    again.through()
    assert RolloutPlan.model_validate(again.xcom("plan")).changes == ()


@pytest.mark.long
def test_metadata_of_the_template_that_do_not_render_go_back_and_blame_no_image(
    compute: Compute, images: Images
) -> None:
    assert rollout(images.new).through() == "success"
    before = {name: metadata_of(instance(compute, name)) for name in ("web-1", "web-2")}
    run = rollout(images.new, GREEN.replace("metadata: {color: blue}", "metadata: {}"))
    assert run.through() == "failed"
    assert {name: metadata_of(instance(compute, name)) for name in before} == before
    (image,) = [one for one in compute.images() if one["name"] == images.new]
    assert not [key for key in image["labels"] if "failed-in" in key]


@pytest.mark.long
@pytest.mark.parametrize(
    ("more", "reports"),
    [
        ("greeting: hello, startup-script: 'true'", {}),
        ("greeting: hi", {"instant-reports": "once"}),
    ],
    ids=["a key that only a boot reads", "an image that cannot render again"],
)
def test_metadata_that_cannot_be_rendered_come_with_another_boot_disk_of_the_same_instance(
    compute: Compute, images: Images, more: str, reports: dict[str, str]
) -> None:
    told = "".join(f", {key}: {value}" for key, value in reports.items())
    text = FLEET.replace("greeting: hello", f"greeting: hello{told}")
    assert rollout(images.new, text).through() == "success"
    before = {name: instance(compute, name) for name in ("web-1", "web-2")}
    changed = FLEET.replace("greeting: hello", more + told) + "strategy: recreate\n"
    run = rollout(images.new, changed)
    assert run.through() == "success", run.errors
    for name, was in before.items():
        now = instance(compute, name)
        assert now["id"] == was["id"]
        assert boot_disk(now) != boot_disk(was)
        assert metadata_of(now) != metadata_of(was)
    again = rollout(images.new, changed)
    again.through()
    assert RolloutPlan.model_validate(again.xcom("plan")).changes == ()


def boot_disk(instance: dict[str, Any]) -> str:
    (boot,) = [disk["source"] for disk in instance["disks"] if disk["boot"]]
    return str(boot)


@pytest.mark.long
def test_another_image_and_other_metadata_are_one_swap_of_the_same_instance(
    compute: Compute, images: Images
) -> None:
    assert rollout(images.old).through() == "success"
    before = {name: instance(compute, name) for name in ("web-1", "web-2")}
    run = rollout(images.new, GREEN)
    assert run.through() == "success", run.errors
    plan = RolloutPlan.model_validate(run.xcom("plan"))
    assert {str(change.strategy) for change in plan.changes} == {"swap"}
    for name, was in before.items():
        now = instance(compute, name)
        assert (now["id"], image_of(compute, name)) == (was["id"], images.new)
        wanted = {**metadata_of(was), "greeting": "good day", "colour": "green"}
        assert metadata_of(now) == wanted, "and nothing of the way back"


@pytest.mark.long
def test_the_way_back_of_such_a_swap_has_the_old_disk_and_the_old_metadata(
    compute: Compute, images: Images
) -> None:
    """The second one lacks the color that the new image needs; the plan is made again before."""
    assert rollout(images.old).through() == "success"
    before = {name: instance(compute, name) for name in ("web-1", "web-2")}
    run = rollout(images.new, GREEN.replace("metadata: {color: blue}", "metadata: {}"))
    run.begin()
    run.stage(1)
    assert metadata_of(instance(compute, "web-1"))["greeting"] == "good day"
    run.states.clear()
    assert run.through() == "failed"
    for name, was in before.items():
        now = instance(compute, name)
        assert (now["id"], boot_disk(now)) == (was["id"], boot_disk(was))
        assert metadata_of(now) == metadata_of(was)
        assert (now["status"], image_of(compute, name)) == ("RUNNING", images.old)


@pytest.mark.long
def test_one_rollout_renders_one_member_and_recreates_another(
    compute: Compute, images: Images
) -> None:
    assert rollout(images.new).through() == "success"
    compute.call("DELETE", f"{HERE}/instances/web-2")
    wait_until(lambda: len(compute.instances()) == 1, SOON, "web-2 to go", every=0.05)
    before = instance(compute, "web-1")["id"]
    run = rollout(images.new, GREEN)
    assert run.through() == "success", run.errors
    plan = RolloutPlan.model_validate(run.xcom("plan"))
    assert {c.name: str(c.strategy) for c in plan.changes} == {"web-1": "render", "web-2": "create"}
    assert instance(compute, "web-1")["id"] == before
    assert image_of(compute, "web-2") == images.new


@pytest.mark.long
def test_the_way_back_recreates_each_member_as_it_was_on_its_old_disk(
    compute: Compute, images: Images
) -> None:
    """The second one lacks the color that the new image needs."""
    assert rollout(images.old).through() == "success"
    before = {name: instance(compute, name) for name in ("web-1", "web-2")}
    for was in before.values():  # its fleet is not new any more
        metadata = was["metadata"]
        metadata["items"] = [i for i in metadata["items"] if i["key"] != "bakehouse-new-fleet"]
    ids = {name: disk["id"] for name, disk in disks(compute).items()}
    run = rollout(images.new, LARGER.replace("metadata: {color: blue}", "metadata: {}"))
    assert run.through() == "failed"
    for name, was in before.items():
        now = instance(compute, name)
        for key in ("machineType", "metadata", "tags", "serviceAccounts"):
            same = [{**one.get(key, {}), "fingerprint": ""} if isinstance(one.get(key), dict)
                    else one.get(key) for one in (was, now)]  # fmt: skip
            assert same[0] == same[1], key
        assert [d["source"] for d in now["disks"]] == [d["source"] for d in was["disks"]]
        assert [d["autoDelete"] for d in now["disks"]] == [d["autoDelete"] for d in was["disks"]]
        assert now["status"] == "RUNNING"
        assert image_of(compute, name) == images.old
    assert {name: disk["id"] for name, disk in disks(compute).items()} == ids
    ip = addresses(compute)["web-2"]["address"]
    assert instance(compute, "web-2")["networkInterfaces"][0]["networkIP"] == ip


@pytest.mark.long
def test_a_member_with_deletion_protection_keeps_its_instance_and_its_drift_is_told(
    compute: Compute, images: Images
) -> None:
    assert rollout(images.old).through() == "success"
    path = f"{HERE}/instances/web-1/setDeletionProtection"
    compute.call("POST", path, params={"deletionProtection": "true"})
    before = instance(compute, "web-1")["id"]
    run = rollout(images.new, LARGER)
    assert run.through() == "success", run.errors
    assert instance(compute, "web-1")["id"] == before
    assert image_of(compute, "web-1") == images.new
    plan = RolloutPlan.model_validate(run.xcom("plan"))
    (change,) = [change for change in plan.changes if change.name == "web-1"]
    assert [str(one) for one in change.differs] == ["machine_type is e2-small instead of e2-medium"]
    compute.call("POST", path, params={"deletionProtection": "false"})


@pytest.mark.long
def test_reconcile_mends_a_missing_member_on_the_fleets_image_and_not_on_the_newest(
    compute: Compute, images: Images
) -> None:
    """The newest one is `new`; the fleet is on `old`, to which somebody has rolled it out."""
    assert rollout(images.old).through() == "success"
    kept = instance(compute, "web-2")
    data = disks(compute)["web-1-data"]["id"]
    compute.call("DELETE", f"{HERE}/instances/web-1")
    wait_until(lambda: len(compute.instances()) == 1, SOON, "web-1 to go", every=0.05)
    run = rollout("")
    run.params["reconcile"] = True
    assert run.through() == "success", run.errors
    assert image_of(compute, "web-1") == images.old
    assert disks(compute)["web-1-data"]["id"] == data
    now = instance(compute, "web-2")
    assert (now["id"], now["lastStartTimestamp"]) == (kept["id"], kept["lastStartTimestamp"])
