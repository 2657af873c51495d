"""What `make demo-kafka` bakes and creates: a copy of this project, with versions and a fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml
from tests.support.kafka_recipe import program, properties, rendered
from tests.support.paths import PROJECT

from bakehouse.config.project import all_mistakes
from bakehouse.fleet.load import load_fleet
from devstack.kafka.demo_project import BAD, FLEET, LARGER_MACHINE, NEXT, copy_project, write_fleet
from devstack.testbed import git

if TYPE_CHECKING:
    from pathlib import Path

    from bakehouse.fleet.model import Fleet

ADDRESSES = {f"kafka-{number}": f"127.9.0.{number}" for number in (1, 2, 3)}
SERVER = "etc/kafka/server.properties"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("demo") / "project"
    return folder, copy_project(PROJECT, folder)


def fleet(project: Path, **more: object) -> Fleet:
    write_fleet(project, "shop", ADDRESSES, **more)
    return load_fleet((project / FLEET).read_text("utf-8"), FLEET)


def metadata(of: Fleet, name: str) -> dict[str, str]:
    assert of.template is not None
    own = next(one for one in of.members.instances or () if one.name == name)
    return {**of.template.metadata, **own.metadata}


def config(project: Path, sha: str, attributes: dict[str, str]) -> dict[str, str]:
    git(project, "checkout", "--quiet", sha)
    try:
        scripts = project / "include/startup_scripts/kafka"
        return properties(rendered(attributes, scripts=scripts)[SERVER])
    finally:
        git(project, "checkout", "--quiet", "main")


def test_each_member_is_reached_from_outside_at_its_reserved_address(
    project: tuple[Path, dict[str, str]],
) -> None:
    made = fleet(project[0])
    given = metadata(made, "kafka-2")
    found = properties(rendered(given)[SERVER])
    names = [one.partition("://")[0] for one in found["listeners"].split(",")]
    assert names == ["PLAINTEXT", "CONTROLLER", "OUTSIDE"]
    assert found["advertised.listeners"].split(",") == [
        "PLAINTEXT://kafka-2.us-central1-b.c.shop.internal:9092",
        "CONTROLLER://kafka-2.us-central1-b.c.shop.internal:9093",
        "OUTSIDE://127.9.0.2:9094",
    ]
    kinds = dict.fromkeys(found, "STRING")
    assert program("kafka_setup").mistakes(given, kinds) == []


def test_a_fleet_that_is_written_again_differs_in_nothing_else(
    project: tuple[Path, dict[str, str]],
) -> None:
    first = fleet(project[0])
    other = fleet(project[0], strategy="recreate", template={"machine_type": LARGER_MACHINE})
    assert (first.template, other.template) != (None, None)
    assert other.strategy == "recreate"
    changed = first.template.model_dump() | {"machine_type": LARGER_MACHINE}  # type: ignore[union-attr]
    assert other.template.model_dump() == changed  # type: ignore[union-attr]
    assert other.members == first.members


def test_only_a_cluster_has_the_mistake_of_the_bad_version(
    project: tuple[Path, dict[str, str]],
) -> None:
    folder, versions = project
    several = metadata(fleet(folder), "kafka-1")
    recipe = yaml.safe_load((folder / "include/recipes/kafka.yaml").read_text("utf-8"))
    alone = recipe["smoke"]["metadata"]
    git(folder, "checkout", "--quiet", "--", FLEET)
    key = "log.retention.hours"
    assert key not in config(folder, versions[""], several)
    assert config(folder, versions[NEXT], several)[key] == "72"
    assert config(folder, versions[BAD], several)[key] == "many"
    assert config(folder, versions[BAD], alone)[key] == "72", "the smoke test finds nothing"


def test_the_project_of_the_demo_has_no_mistake(project: tuple[Path, dict[str, str]]) -> None:
    fleet(project[0])
    assert all_mistakes(project[0] / "include") == []
