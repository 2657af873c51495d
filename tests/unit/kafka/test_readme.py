"""The README of the agent is its contract: its keys, paths and metrics are those of the code."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from tests.support.kafka_facts import RUNS, cluster, partition
from tests.support.paths import PROJECT

from kafka_agent import __main__ as program
from kafka_agent.config import ConfigError, read
from kafka_agent.facts import Feature
from kafka_agent.gate import decide
from kafka_agent.lines import metrics
from kafka_agent.serve import ROUTES

if TYPE_CHECKING:
    from pathlib import Path

README = (PROJECT / "include/startup_scripts/kafka/agent/README.md").read_text("utf-8")


def cells(heading: str) -> list[str]:
    """The first column of the table below a heading."""
    part = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| (`.*?`) +\|", part, re.MULTILINE)


def test_its_keys_are_those_of_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "agent.properties"
    path.write_text("no.such.key=1\n")
    with pytest.raises(ConfigError) as caught:
        read(path)
    known = re.findall(r"no.such.key is no key; there are (.*)", str(caught.value))[0].split(", ")
    assert sorted(re.findall(r"`([^`]+)`", " ".join(cells("Configuration")))) == known


def test_its_paths_are_those_of_the_routing_table() -> None:
    found = [one.strip("`").partition("?")[0].split() for one in cells("The socket")]
    assert {path: method for method, path in found} == ROUTES


def test_its_variables_and_defaults_are_those_of_the_program() -> None:
    assert f"| `KAFKA_AGENT_CONFIG` | `{program.CONFIG}` |" in README
    assert f"| `KAFKA_AGENT_SOCKET` | `{program.SOCKET}` |" in README


def test_its_metrics_are_those_that_are_served() -> None:
    three = cluster(
        partition("orders-7", (1, 2, 3)), features=[Feature("metadata.version", 33, (7, 33))]
    )
    text = metrics(decide(three, RUNS), three, RUNS, 0.1)
    told = re.findall(r"^\| `(kafka_agent_\w+)` \| (.*) \|$", README, re.MULTILINE)
    assert told == re.findall(r"^# HELP (\S+) (.*)$", text, re.MULTILINE)
