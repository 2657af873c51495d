"""The agent is a program of the guest: it knows nothing of Bakehouse."""

from __future__ import annotations

import re
import sys

import grimp
import pytest
from tests.support.paths import PROJECT

AGENT = PROJECT / "include/startup_scripts/kafka/agent"
PURE = {"facts", "limits", "gate", "batches", "health", "leadership", "lines"}
ONLY_CLIENT = "kafka"


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("kafka_agent", include_external_packages=True, cache_dir=None)


def external(graph: grimp.ImportGraph, module: str) -> set[str]:
    found = graph.find_modules_directly_imported_by(module)
    return {one for one in found if not one.startswith("kafka_agent")}


def test_it_imports_the_standard_library_and_kafka_python(graph: grimp.ImportGraph) -> None:
    own = [one for one in graph.modules if one.startswith("kafka_agent")]
    assert len(own) > len(PURE)
    used = {each.partition(".")[0] for one in own for each in external(graph, one)}
    assert used - sys.stdlib_module_names == {ONLY_CLIENT}


@pytest.mark.parametrize("name", sorted(PURE))
def test_what_decides_imports_only_what_decides(graph: grimp.ImportGraph, name: str) -> None:
    module = f"kafka_agent.{name}"
    found = graph.find_modules_directly_imported_by(module)
    assert {one for one in found if one.startswith("kafka_agent")} <= {
        f"kafka_agent.{one}" for one in PURE
    }
    allowed = {"__future__", "collections", "dataclasses", "enum", "math", "typing"}
    assert external(graph, module) <= allowed


def test_whatever_calls_itself_pure_is_held_to_it() -> None:
    files = list((AGENT / "kafka_agent").glob("*.py"))
    headings = {one.stem: one.read_text("utf-8").split('"""')[1].lower() for one in files}
    claims = {name for name, heading in headings.items() if re.search(r"\bpure\b", heading)}
    assert claims == PURE


def test_there_is_no_circle(graph: grimp.ImportGraph) -> None:
    for one in graph.modules:
        if one.startswith("kafka_agent."):
            assert one not in graph.find_upstream_modules(one)


def test_the_version_of_the_client_is_that_of_the_tests() -> None:
    lock = (AGENT / "requirements.lock").read_text("utf-8")
    pinned = (AGENT / "requirements.in").read_text("utf-8").strip()
    assert f"\n{pinned} \\\n    --hash=sha256:" in lock
    assert pinned in (PROJECT / "requirements-dev.txt").read_text("utf-8").splitlines()
