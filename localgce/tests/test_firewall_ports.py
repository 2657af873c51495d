"""Which ports firewall rules open at an instance's external address, and that they close none."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localgce.core.settings import Settings
from localgce.instances.lifecycle import PORTS
from localgce.machines.instant.host import InstantHost
from localgce.machines.qemu.network import free_ports
from localgce.networks.firewall_ports import MOST, opened
from localgce.service import Service

from .gce import ZONE, instance

if TYPE_CHECKING:
    from collections.abc import Callable

    from localgce.machines.contract import MachineSpec

    from .conftest import Server
    from .gce import Gce

README = Path(__file__).parents[1] / "README.md"
TAGGED = {"items": ["web"]}
ROBOT = [{"email": "robot@demo.iam.gserviceaccount.com"}]
ALWAYS = {*PORTS, 22, 3389}
"""With those of the default network's rules."""
VM: dict[str, Any] = {
    "networkInterfaces": [{"network": "n"}],
    "tags": TAGGED,
    "serviceAccounts": ROBOT,
}


def rule(*ports: str, **more: Any) -> dict[str, Any]:
    kind = more.pop("kind", "allowed")
    return {"network": "n", kind: [{"IPProtocol": "tcp", "ports": [*ports]}], **more}


@pytest.mark.parametrize(
    ("more", "counts"),
    [
        ({}, True),
        ({"sourceRanges": ["0.0.0.0/0"]}, True),
        ({"sourceRanges": ["10.0.0.0/8", "127.0.0.0/8"]}, True),
        ({"targetTags": ["other", "web"]}, True),
        ({"targetServiceAccounts": [ROBOT[0]["email"]]}, True),
        ({"sourceRanges": ["10.0.0.0/8"]}, False),
        ({"sourceTags": ["web"]}, False),
        ({"sourceServiceAccounts": ["x"]}, False),
        ({"targetTags": ["other"]}, False),
        ({"targetServiceAccounts": ["other"]}, False),
        ({"disabled": True}, False),
        ({"direction": "EGRESS"}, False),
        ({"network": "other"}, False),
    ],
)
def test_a_rule_opens_its_ports_where_it_applies(more: dict[str, Any], counts: bool) -> None:
    assert opened([rule("22", "9000-9002", **more)], VM) == (
        (22, 9000, 9001, 9002) if counts else ()
    )


def test_a_denial_of_a_higher_or_the_same_priority_wins() -> None:
    deny = rule("22", kind="denied", priority=900)
    assert opened([rule("22", "23"), deny], VM) == (23,)
    assert opened([rule("22", priority=900), deny], VM) == ()
    assert opened([rule("22", priority=800), deny], VM) == (22,)


@pytest.mark.parametrize("entry", [{"IPProtocol": "all"}, {"IPProtocol": "tcp"}])
def test_a_denial_of_all_ports_keeps_each_from_being_opened(entry: dict[str, Any]) -> None:
    deny = {"network": "n", "denied": [entry], "priority": 900}
    assert opened([rule("22"), deny], VM) == ()
    assert opened([rule("22", priority=800), deny], VM) == (22,)


def test_rules_of_other_protocols_and_of_all_ports_open_none() -> None:
    others = [{"IPProtocol": "udp", "ports": ["53"]}, {"IPProtocol": "all"}, {"IPProtocol": "tcp"}]
    assert opened([{"network": "n", "allowed": others}], VM) == ()


@given(st.lists(st.lists(st.from_regex(r"[0-9]{1,6}(-[0-9]{1,6})?", fullmatch=True)), max_size=4))
def test_a_rule_never_opens_more_than_a_host_can_bear(rules: list[list[str]]) -> None:
    found = opened([rule(*ports) for ports in rules], VM)
    assert len(found) <= MOST
    assert all(0 < port < 65536 for port in found)


def test_an_instance_gets_the_ports_of_its_rules_at_its_next_start(
    make_server: Callable[..., Server],
) -> None:
    server = make_server()
    gce = server.start()
    gce.create("web", tags=TAGGED)
    gce.create("other")
    body = {
        "name": "r",
        "targetTags": ["web"],
        "allowed": [{"IPProtocol": "tcp", "ports": ["2222"]}],
    }
    gce.do("POST", "global/firewalls", body)
    server.stop()
    assert specified_ports(server.state) == {"web": {*ALWAYS, 2222}, "other": ALWAYS}


def test_no_rule_closes_a_port(make_server: Callable[..., Server]) -> None:
    server = make_server()
    gce = server.start()
    gce.create("web")
    for number, kind in enumerate(("INGRESS", "EGRESS")):
        deny = {"name": f"r{number}", "direction": kind, "denied": [{"IPProtocol": "all"}]}
        gce.do("POST", "global/firewalls", {**deny, "priority": 1})
    server.stop()
    assert specified_ports(server.state) == {"web": {*PORTS}}


def test_the_default_network_has_the_rules_that_compute_engine_gives_it(instant: Gce) -> None:
    rules = {rule["name"]: rule for rule in instant.items("global/firewalls")}
    names = {f"default-allow-{what}" for what in ("icmp", "internal", "rdp", "ssh")}
    assert names <= {*rules}
    assert {rules[name]["priority"] for name in names} == {65534}
    assert rules["default-allow-ssh"]["allowed"] == [{"IPProtocol": "tcp", "ports": ["22"]}]


def test_an_instance_without_an_external_address_has_no_port(
    make_server: Callable[..., Server],
) -> None:
    """As builders and fleets of Bakehouse are by default: nobody on the host reaches their sshd."""
    server = make_server()
    gce = server.start()
    gce.create("inner")
    nat = {"network": "global/networks/default", "accessConfigs": [{"type": "ONE_TO_ONE_NAT"}]}
    gce.create("outer", networkInterfaces=[nat])
    server.stop(signal.SIGKILL)  # they keep their addresses
    specs = machine_specs(server.state)
    assert {name: spec.nic.external_ip is None for name, spec in specs.items()} == {
        "inner": True,
        "outer": False,
    }
    assert 22 in specs["inner"].ports
    assert free_ports(specs["inner"]) == ()


def specified_ports(state: Path) -> dict[str, set[int]]:
    """The ports that each machine of a stopped server would be started with."""
    return {name: {*spec.ports} for name, spec in machine_specs(state).items()}


def machine_specs(state: Path) -> dict[str, MachineSpec]:
    """What each machine of a stopped server would be started with."""
    service = Service(Settings(state, "demo", state), InstantHost(state))
    try:
        return {
            record.name: service.lifecycle.spec(record) for record in service.store.all("instances")
        }
    finally:
        service.store.close()


def test_the_readme_says_which_ports_are_open_and_that_rules_close_none() -> None:
    text = " ".join(README.read_text().split())
    named = re.search(r"Ports ([0-9, ]+ and [0-9]+) of an instance with an access config", text)
    assert named is not None
    assert tuple(map(int, re.findall(r"\d+", named[1]))) == PORTS
    assert "**Firewall rules close nothing.**" in text
    assert f"{MOST} ports at most" in text


@pytest.mark.vm
def test_a_rule_opens_a_port_of_a_real_machine(qemu: Gce, name: str) -> None:
    ports = [{"IPProtocol": "tcp", "ports": ["9000"]}]
    qemu.do("POST", "global/firewalls", {"name": name, "targetTags": [name], "allowed": ports})
    nic = {"network": "global/networks/default", "accessConfigs": [{"type": "ONE_TO_ONE_NAT"}]}
    body = instance(name, tags={"items": [name]}, networkInterfaces=[nic])
    qemu.do("POST", f"zones/{ZONE}/instances", body)
    address = qemu.instance(name)["networkInterfaces"][0]["accessConfigs"][0]["natIP"]
    listening = Path("/proc/net/tcp").read_text()
    octets = "".join(f"{int(part):02X}" for part in reversed(address.split(".")))
    assert f"{octets}:{9000:04X} 00000000:0000 0A" in listening
    assert f"{octets}:{9001:04X} " not in listening
    qemu.do("DELETE", f"zones/{ZONE}/instances/{name}")
    qemu.do("DELETE", f"global/firewalls/{name}")
