"""A fleet that is declared whole, on real machines: created, gated, drained, swapped, recreated."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.ledger import read_ledger
from tests.support.paths import PROJECT

from bakehouse.history.rollout_events import MemberReplacedEvent
from devstack import demo_fleet
from devstack.availability import get_page
from devstack.waiting import wait_until

if TYPE_CHECKING:
    from devstack.testbed import Testbed

pytestmark = pytest.mark.usefixtures("as_it_was")

FLEET = "include/fleets/web.yaml"
SCRIPTS = "include/startup_scripts/web"
BAKE, ROLL_OUT = "bake__web", "roll_out__web"
GROUP = "replace_instances"
HOUR = 3600.0
MEMBERS = ("web-1", "web-2")
INSTANCE = f"zones/{demo_fleet.ZONE}/instances/web-1"
ATTRIBUTE = "http://metadata.google.internal/computeMetadata/v1/instance/attributes/busy"

GATE = f"""#!/bin/bash
# Who serves an important guest is not stopped.
if guest=$(curl -sf -H 'Metadata-Flavor: Google' {ATTRIBUTE}); then
  echo "it serves $guest"
  exit 1
fi
"""
NOTE = """#!/bin/bash
read -r boot </proc/sys/kernel/random/boot_id
echo "{order} $boot" >>/srv/data/orders
sync
"""


def declare(bed: Testbed) -> None:
    """Two of the three members that the demo declares, and scripts for the orders of a rollout."""
    text = (PROJECT / FLEET).read_text()  # that of the testbed has no members
    text = re.sub(r"    - \{name: web-3.*\n", "", text)
    bed.write(FLEET, text)
    bed.write(f"{SCRIPTS}/gate", GATE, mode=0o755)
    for order in ("drain", "resume"):
        bed.write(f"{SCRIPTS}/{order}", NOTE.format(order=order), mode=0o755)
    bed.commit("Two members, which are asked before they are stopped")
    bed.parse_until(ROLL_OUT, lambda: members_of_form(bed) == list(MEMBERS), "the members")


def members_of_form(bed: Testbed) -> list[str]:
    found = bed.airflow.call("GET", f"/dags/{ROLL_OUT}/details")
    return list(found["params"]["members"]["schema"].get("items", {}).get("enum", []))


def orders(bed: Testbed, member: str) -> list[tuple[str, str]]:
    """What the member has noted on its data disk: the orders, each with its boot."""
    text = get_page(
        demo_fleet.page_urls(bed.compute)[member].replace("bakehouse.json", "data/orders")
    )
    return [(order, boot) for order, boot in (line.split() for line in (text or "").splitlines())]


def set_busy(bed: Testbed, guest: str | None) -> None:
    metadata = bed.compute.call("GET", INSTANCE)["metadata"]
    items = [item for item in metadata["items"] if item["key"] != "busy"]
    metadata["items"] = items + ([{"key": "busy", "value": guest}] if guest else [])
    bed.compute.call("POST", f"{INSTANCE}/setMetadata", json=metadata)


def boot_of(bed: Testbed, member: str) -> str:
    return str(demo_fleet.health_report(bed.compute, member)["boot_id"])


@pytest.fixture
def members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_fleet, "MEMBERS", MEMBERS)


@pytest.mark.usefixtures("members")
def test_a_declared_fleet_is_created_asked_drained_swapped_and_recreated(bed: Testbed) -> None:
    declare(bed)
    first = bed.bake(BAKE, deadline=HOUR, git_ref=bed.head, vars={"page": "first"})
    assert first.state == "success", bed.explain(first)
    created = demo_fleet.observe(bed.compute, real=True)
    assert {seen.page["page"] for seen in created.values()} == {"first"}
    assert {seen.page["greeting"] for seen in created.values()} == {
        demo_fleet.greeting(name) for name in MEMBERS
    }
    assert demo_fleet.leftovers(bed.compute) == []
    boots = {name: boot_of(bed, name) for name in MEMBERS}
    for name in MEMBERS:
        assert orders(bed, name) == [("resume", boots[name])], "it is new, and serves"

    set_busy(bed, "the queen")
    run_id = bed.airflow.trigger(BAKE, {"git_ref": bed.head, "vars": {"page": "second"}})

    def waits() -> bool:
        run = bed.airflow.call("GET", f"/dags/{BAKE}/dagRuns/{run_id}")
        return "the queen" in str(run["note"])

    wait_until(waits, HOUR, "the run's note to say what it waits for", every=2.0)
    assert boot_of(bed, "web-1") == boots["web-1"], "a member that is busy is not stopped"
    assert len(orders(bed, "web-1")) == 1
    set_busy(bed, None)
    second = bed.airflow.wait(BAKE, run_id, HOUR)
    assert second.state == "success", bed.explain(second)
    image = str(bed.compute.newest_of("web")["name"])
    swapped = demo_fleet.observe(bed.compute, real=True)
    for name in MEMBERS:
        assert swapped[name].page["page"] == "second"
        assert swapped[name].instance_id == created[name].instance_id
        assert swapped[name].data == created[name].data
        assert orders(bed, name)[1:] == [("drain", boots[name]), ("resume", boot_of(bed, name))]

    text = (bed.project / FLEET).read_text()
    text = text.replace("machine_type: e2-micro", "machine_type: e2-medium")
    bed.write(FLEET, text.replace("stages:", "strategy: recreate\nstages:", 1))
    bed.commit("Larger members")
    bed.see_changes(ROLL_OUT)
    third = bed.airflow.wait(ROLL_OUT, bed.airflow.trigger(ROLL_OUT, {"image": image}), HOUR)
    assert third.state == "success", bed.explain(third)
    recreated = demo_fleet.observe(bed.compute, real=True)
    for name in MEMBERS:
        assert recreated[name].instance_id != created[name].instance_id
        assert recreated[name].data == created[name].data, "the data disk is the same"
        assert recreated[name].data_disk_id == created[name].data_disk_id
        assert machine_type(bed, name) == "e2-medium"
    assert demo_fleet.leftovers(bed.compute) == []
    moved = [
        event
        for event in read_ledger(bed.stack.layout.airflow_home / "ledger")
        if isinstance(event, MemberReplacedEvent)
    ]
    assert sorted(event.detail.member for event in moved) == sorted(MEMBERS * 3)


def machine_type(bed: Testbed, member: str) -> str:
    found: dict[str, Any] = bed.compute.call("GET", INSTANCE.replace("web-1", member))
    return str(found["machineType"]).rpartition("/")[2]
