"""What the processes of a stack are told, and the files that hold its secrets."""

from __future__ import annotations

import stat
from configparser import RawConfigParser
from pathlib import Path

import pytest

from devstack.credentials import Credentials
from devstack.environment import stack_environment
from devstack.layout import Layout
from devstack.lock import Busy, locked
from devstack.programs import programs
from devstack.record import Record
from devstack.supervisor_conf import render

RECORD = Record("/a project", "instant", "p", 8080, 8790, None)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "state")
    layout.make()
    return layout


def test_what_the_caller_says_about_airflow_does_not_get_in(layout: Layout) -> None:
    base = {
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW_CONN_X": "x",
        "PYTHONPATH": "/elsewhere",
        "PATH": "/bin",
        "NO_PROXY": "example.com",
        "HOME": "/h",
    }
    found = stack_environment(layout, RECORD, Credentials.of(layout), base)
    assert found["AIRFLOW__CORE__EXECUTOR"].endswith("LastWordExecutor")
    assert "AIRFLOW_CONN_X" not in found
    assert found["PYTHONPATH"] == "/a project/plugins"
    assert found["PATH"].endswith(":/bin")
    assert found["NO_PROXY"] == "example.com,127.0.0.1,localhost"
    assert found["HOME"] == "/h"
    assert found["AIRFLOW__API__HOST"] == "127.0.0.1"


def test_secrets_are_kept_and_only_the_owner_reads_them(layout: Layout) -> None:
    first = Credentials.of(layout)
    assert Credentials.of(layout) == first
    for file in (layout.credentials, layout.passwords):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(layout.state.stat().st_mode) == 0o700


def test_a_record_survives_and_nonsense_counts_as_none(layout: Layout) -> None:
    assert Record.read(layout) is None
    RECORD.write(layout)
    assert Record.read(layout) == RECORD
    layout.record.write_text('{"project": 1}')
    assert Record.read(layout) is None


def test_the_second_to_lock_is_told_who_holds_it(layout: Layout) -> None:
    with locked(layout), pytest.raises(Busy, match="is in use by process"), locked(layout):
        pass
    with locked(layout):
        pass


def test_only_localgce_keeps_what_an_earlier_start_left(layout: Layout) -> None:
    alone = {p.name: p.alone for p in programs(RECORD, layout, None)}
    assert alone.pop("localgce") is False
    assert set(alone.values()) == {True}


def test_the_guest_program_goes_with_instant_machines_only(layout: Layout) -> None:
    guest = Path("/g.py")
    real = Record("/p", "qemu", "p", 1, 2, None)
    assert "--guest" in programs(RECORD, layout, guest)[0].command
    assert "--guest" not in programs(real, layout, guest)[0].command


def test_no_airflow_component_opens_its_log_server(layout: Layout) -> None:
    commands = {p.name: p.command for p in programs(RECORD, layout, None)}
    assert "--skip-serve-logs" in commands["scheduler"]
    assert "--skip-serve-logs" in commands["triggerer"]


def test_the_configuration_names_every_program_and_escapes_percent_signs(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "50%(x)s")
    stack = programs(RECORD, layout, None)
    parser = RawConfigParser()
    parser.read_string(render(stack, layout))
    assert {f"program:{p.name}" for p in stack} < set(parser.sections())
    assert "50%%(x)s" in parser["program:localgce"]["command"]
    assert parser["group:airflow"]["programs"].split(",") == [p.name for p in stack[1:]]


def test_what_a_killed_scheduler_had_begun_is_taken_over_within_a_minute(layout: Layout) -> None:
    """A heartbeat must be old enough, and then the next check finds it."""
    from airflow.configuration import conf

    key = ("scheduler", "orphaned_tasks_check_interval")
    found = stack_environment(layout, RECORD, Credentials.of(layout), {})
    interval = int(found["AIRFLOW__{}__{}".format(*(word.upper() for word in key))])
    assert conf.get_default_value(*key) is not None, "the option's name in this Airflow"
    assert interval == 30
    assert conf.getint("scheduler", "scheduler_health_check_threshold") + interval <= 60
