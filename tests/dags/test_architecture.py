"""The drawings of docs/architecture.md show the packages and the tasks that there are."""

from __future__ import annotations

import re
from typing import Any

from tests.support.layers import layers
from tests.support.paths import PROJECT

PAGE = PROJECT / "docs" / "architecture.md"
PACKAGES = PROJECT / "plugins" / "bakehouse"

LAYER = re.compile(r'^\s*(\w+)\["(.+)"\]$', re.MULTILINE)
EDGE = re.compile(r"^\s*(\w+) (-->|-\. teardown \.->|-- next stage -->) (\w+)$", re.MULTILINE)

Edge = tuple[str, str]


def drawing(name: str) -> str:
    """The Mermaid source behind a mark."""
    found = re.search(
        rf"<!-- {name} -->\s+```mermaid\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL
    )
    assert found, name
    return found[1]


def edges_of(dag: dict[str, Any]) -> set[Edge]:
    """Task to task, the stages of the fleet as one."""
    return {(plain(a), plain(b)) for a, task in dag["tasks"].items() for b in task["next"]}


def plain(task_id: str) -> str:
    """Without its group, with N for the number of its stage."""
    return re.sub(r"_\d+$", "_N", task_id.rpartition(".")[2])


def test_layers_are_those_of_the_import_contract() -> None:
    drawn = [sorted(names.split(" · ")) for _, names in LAYER.findall(drawing("layers"))]
    assert drawn == [sorted(layer) for layer in layers()[1:]], "the first layer is modules"


def test_every_package_is_in_a_layer() -> None:
    drawn = [name for _, names in LAYER.findall(drawing("layers")) for name in names.split(" · ")]
    folders = {file.parent.name for file in PACKAGES.glob("*/__init__.py")}
    assert sorted(drawn) == sorted(folders - {"cli"}), "it is above all others"


def test_arrows_connect_each_layer_to_the_next_below() -> None:
    boxes = [name for name, _ in LAYER.findall(drawing("layers"))]
    chains = [line.split(" --> ") for line in drawing("layers").splitlines() if "-->" in line]
    drawn = [name.strip() for chain in chains for name in chain]
    repeated = [chain[0].strip() for chain in chains[1:]]
    for name in repeated:  # each line begins with the last box of the line before
        drawn.remove(name)
    assert drawn == boxes


def test_flow_shows_the_tasks_and_edges_of_a_bake(bag: dict[str, Any]) -> None:
    drawn = {(start, end) for start, _, end in EDGE.findall(drawing("flow"))}
    assert drawn == edges_of(bag["dags"]["bake__web"])


def test_every_line_of_the_flow_is_an_edge() -> None:
    inside = drawing("flow").splitlines()[1:]
    other = [line for line in inside if not EDGE.match(line)]
    assert [line.strip() for line in other] == ["subgraph replace_instances", "end"]


def test_teardown_arrows_start_at_setups(bag: dict[str, Any]) -> None:
    tasks = {plain(name): task for name, task in bag["dags"]["bake__web"]["tasks"].items()}
    for start, arrow, end in EDGE.findall(drawing("flow")):
        torn_down = tasks[start]["setup"] and tasks[end]["teardown"]
        assert torn_down == ("teardown" in arrow), (start, end)
