"""Members that do not exist are named, with what was probably meant."""

from __future__ import annotations

from typing import Any

import pytest

from bakehouse.fleet.members import Members
from bakehouse.rollout.missing import missing_members

ZONE = "us-central1-a"


def instance(name: str, zone: str = ZONE, **labels: str) -> dict[str, Any]:
    return {"name": name, "zone": f"https://x/zones/{zone}", "labels": labels}


EVERYWHERE = [
    instance("web-1", fleet="web"),
    instance("web-02", fleet="web"),
    instance("db-1", fleet="db"),
    instance("web-4", "europe-west1-b", fleet="shop"),
]


def named(*names: str) -> Members:
    return Members.model_validate({"instances": names, "zones": [ZONE]})


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("web-2", "web-2 does not exist in us-central1-a; did you mean web-02?"),
        ("web-4", "web-4 does not exist in us-central1-a, but in europe-west1-b"),
        ("wbe-02", "wbe-02 does not exist in us-central1-a; did you mean web-02?"),
        ("kafka-7", "kafka-7 does not exist in us-central1-a"),
    ],
)
def test_a_name_without_an_instance_has_the_nearest_one(name: str, told: str) -> None:
    wanted = named("web-1", name)
    assert missing_members(wanted, [name], EVERYWHERE) == [told]


def test_all_names_are_told_at_once() -> None:
    wanted = named("web-4", "web-9")
    assert len(missing_members(wanted, ["web-4", "web-9"], EVERYWHERE)) == 2
    assert missing_members(wanted, ["web-9"], []) == ["web-9 does not exist in us-central1-a"]


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ({"fleet": "wbe"}, "the labels fleet=wbe; instances have fleet=db, fleet=shop, fleet=web"),
        ({"fleets": "web"}, "the labels fleets=web; instances have fleet=…"),
        ({"fleet": "shop"}, "the labels fleet=shop, but web-4 in europe-west1-b"),
    ],
)
def test_labels_of_nobody_have_those_that_there_are(labels: dict[str, str], told: str) -> None:
    wanted = Members(labels=labels, zones=(ZONE,))
    assert missing_members(wanted, [], EVERYWHERE) == [f"no instance in us-central1-a has {told}"]
