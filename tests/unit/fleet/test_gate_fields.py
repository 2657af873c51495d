"""The fields of a fleet about gates: defaults, and one clear message for each mistake."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bakehouse.fleet.gate import filled
from bakehouse.fleet.load import load_fleet
from bakehouse.fleet.model import Fleet
from bakehouse.recipe.load import Mistakes

FLEET = """\
recipe: kafka
members: {instances: [kafka-1], zones: [us-central1-a]}
"""
QUERY = "sum(kafka_under_replicated_partitions) == 0"


def test_what_a_fleet_waits_for_by_default() -> None:
    fleet = load_fleet(FLEET, "fleets/kafka.yaml")
    assert (fleet.gate.script, fleet.gate.http, fleet.gate.prometheus) == ("if_present", None, None)
    assert fleet.gate.deadline == timedelta(hours=1)
    assert fleet.drain.deadline == fleet.resume.deadline == timedelta(minutes=5)
    assert fleet.busy_limit == timedelta(hours=1)
    for step in (fleet.gate, fleet.drain, fleet.resume):
        assert step.description
        assert step.hint


def test_the_file_says_all_of_it_and_its_json_form_validates_again() -> None:
    text = f"""{FLEET}gate:
  script: required
  http: {{url: "https://lb.example/safe/$member", status: 204, conn_id: lb}}
  prometheus: {{url: "http://prometheus:9090", query: '{QUERY}'}}
  deadline: 2h
drain: {{description: moves the leaders, hint: kafka-leader-election.sh, deadline: 10m}}
resume: {{deadline: 3m}}
busy_limit: 3h
"""
    fleet = load_fleet(text, "fleets/kafka.yaml")
    assert fleet.gate.http is not None
    assert fleet.gate.http.status == 204
    assert fleet.gate.prometheus is not None
    assert (fleet.gate.prometheus.query, fleet.gate.prometheus.expect) == (QUERY, "result")
    assert fleet.drain.description == "moves the leaders"
    assert Fleet.model_validate(fleet.model_dump(mode="json")) == fleet


@pytest.mark.parametrize(
    ("gate", "told"),
    [
        ("{http: {url: lb/safe}}", "is not a URL of http or https"),
        ("{http: {url: 'http://lb/$host'}}", "uses $host, which is none of $fleet, $member, $zone"),
        ("{http: {url: 'http://lb', status: 99}}", "must be at least 100"),
        ("{http: {}}", "is missing"),
        ("{prometheus: {url: 'http://p', query: 'up == bool 1'}}", "leave bool out"),
        ("{prometheus: {url: 'http://p', query: ''}}", "at least 1 character"),
        ("{prometheus: {url: 'http://p', query: up, expect: empty}}", "must be"),
        ("{script: sometimes}", "must be"),
        ("{deadline: soon}", "soon"),
        ("{htpp: {url: 'http://lb'}}", "http"),
    ],
)
def test_a_mistake_is_told_with_its_line(gate: str, told: str) -> None:
    with pytest.raises(Mistakes) as wrong:
        load_fleet(f"{FLEET}gate: {gate}\n", "fleets/kafka.yaml")
    text = str(wrong.value)
    assert "fleets/kafka.yaml:3" in text
    assert told in text


def test_names_are_filled_in_and_a_dollar_of_a_pattern_stays() -> None:
    query = 'up{instance=~"${member}:9$", zone="$zone"} == 1'
    values = {"member": "kafka-1", "zone": "z", "fleet": "kafka"}
    assert filled(query, values) == 'up{instance=~"kafka-1:9$", zone="z"} == 1'
