"""Global addresses are reserved and released; no instance can have one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .gce import ZONE, instance

if TYPE_CHECKING:
    from .gce import Gce

GLOBAL, REGIONAL = "global/addresses", "regions/us-central1/addresses"


def test_it_is_reserved_labelled_listed_and_released(instant: Gce, name: str) -> None:
    instant.do("POST", GLOBAL, {"name": name, "description": "of a load balancer"})
    shown = instant.get(f"{GLOBAL}/{name}")
    assert shown["selfLink"].endswith(f"/global/addresses/{name}")
    assert (shown["status"], shown["addressType"], shown["ipVersion"]) == (
        "RESERVED",
        "EXTERNAL",
        "IPV4",
    )
    assert "region" not in shown
    labels = {"labels": {"who": "ann"}, "labelFingerprint": shown["labelFingerprint"]}
    instant.do("POST", f"{GLOBAL}/{name}/setLabels", labels)
    assert [one["labels"] for one in instant.items(GLOBAL) if one["name"] == name] == [
        {"who": "ann"}
    ]
    assert name not in [one["name"] for one in instant.items(REGIONAL)]
    everywhere = instant.get("aggregated/addresses")["items"]["global"]["addresses"]
    assert name in [one["name"] for one in everywhere]
    instant.fails(409, "alreadyExists", "POST", GLOBAL, {"name": name})
    instant.do("DELETE", f"{GLOBAL}/{name}")
    instant.fails(404, "notFound", "GET", f"{GLOBAL}/{name}")


def test_no_instance_can_have_it(instant: Gce, name: str) -> None:
    instant.do("POST", GLOBAL, {"name": name})
    address = instant.get(f"{GLOBAL}/{name}")["address"]
    nic = {"accessConfigs": [{"natIP": address}]}
    body = instance(name, networkInterfaces=[nic])
    told = instant.fails(400, "invalid", "POST", f"zones/{ZONE}/instances", body)
    assert "The specified external IP address was not found" in told
    instant.do("DELETE", f"{GLOBAL}/{name}")


def test_an_internal_one_is_refused_and_not_dropped(instant: Gce, name: str) -> None:
    body = {"name": name, "addressType": "INTERNAL", "purpose": "VPC_PEERING", "prefixLength": 16}
    told = instant.fails(400, "invalid", "POST", GLOBAL, body)
    assert "no global internal addresses" in told
