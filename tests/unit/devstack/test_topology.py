"""What a stack of several processes of a kind is told, and what is kept of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from devstack.credentials import Credentials
from devstack.environment import stack_environment
from devstack.layout import Layout
from devstack.programs import programs
from devstack.record import Record
from devstack.topology import WORKERS, Topology, distributed

if TYPE_CHECKING:
    from pathlib import Path

DATABASE = "airflow:secret@127.0.0.1:5432/postgres"
TOPOLOGY = distributed(DATABASE, "redis://:secret@127.0.0.1:6379/0", 9091)
RECORD = Record("/p", "instant", "p", 8080, 8790, 1, TOPOLOGY)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "state")
    layout.make()
    return layout


@pytest.mark.parametrize("topology", [Topology(), TOPOLOGY])
def test_the_record_of_a_stack_keeps_its_topology(layout: Layout, topology: Topology) -> None:
    record = Record("/p", "instant", "p", 8080, 8790, None, topology)
    record.write(layout)
    assert Record.read(layout) == record


def test_the_record_of_an_earlier_version_has_one_of_each(layout: Layout) -> None:
    layout.record.write_text(
        '{"project": "/p", "machines": "qemu", "gce_project": "p",'
        ' "airflow_port": 1, "gce_port": 2, "owner_pid": null}'
    )
    found = Record.read(layout)
    assert found is not None
    assert found.topology == Topology()


def test_what_it_says_about_airflow_goes_over_what_every_stack_says(layout: Layout) -> None:
    found = stack_environment(layout, RECORD, Credentials.of(layout), {})
    assert found["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    assert found["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == f"postgresql+psycopg2://{DATABASE}"
    assert found["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:9091/execution/"
    assert found["AIRFLOW__API__PORT"] == "8080"


def test_no_process_opens_its_log_server_and_each_has_a_name_of_its_own(layout: Layout) -> None:
    found = {program.name: program.command for program in programs(RECORD, layout, None)}
    serving = ("scheduler", "scheduler-2", "triggerer", "triggerer-2", *WORKERS)
    assert all("--skip-serve-logs" in found[name] for name in serving)
    assert len(found) == len(programs(RECORD, layout, None)) == 11


def test_passwords_stand_in_no_command_line(layout: Layout) -> None:
    for program in programs(RECORD, layout, None):
        assert "secret" not in " ".join(program.command)
