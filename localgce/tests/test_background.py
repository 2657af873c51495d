"""A server in the background: up, status, logs, down."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import psutil
import pytest

from localgce import background
from localgce.core.errors import MachineError
from localgce.core.server_file import FILE, LOG, ServerFile, default_state, running

from .gce import Gce
from .test_cli import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state folder whose server ends with the test."""
    folder = tmp_path / "state"
    yield folder
    background.down(folder, grace=0, now=True)


def up(state: Path, *options: str) -> str:
    """The printed line of `localgce up` with instant machines."""
    done = run("up", "--state", str(state), "--machines", "instant", "--port", "0", *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_up_starts_one_server_and_down_stops_it(state: Path) -> None:
    first = up(state)
    assert first.startswith("localgce runs now at http://127.0.0.1:")
    url = first.split()[-1]
    assert up(state) == f"localgce already runs at {url}\n"
    client = Gce(url)
    client.create("web-1")
    client.close()
    shown = json.loads(run("status", "--state", str(state), "--json").stdout)
    assert (shown["url"], shown["project"], shown["machines"]) == (url, "demo", "instant")
    assert shown["instances"] == {"RUNNING": 1}
    printed = run("status", "--state", str(state)).stdout
    assert f"url        {url}\n" in printed
    assert "instances  1 RUNNING\n" in printed
    assert "Started server process" in run("logs", "--state", str(state)).stdout
    assert run("down", "--state", str(state)).stdout == "localgce has stopped\n"
    assert not psutil.pid_exists(shown["pid"])
    again = run("down", "--state", str(state))
    assert (again.returncode, again.stdout) == (0, "localgce does not run\n")
    assert up(state).startswith("localgce runs now")
    kept = json.loads(run("status", "--state", str(state), "--json").stdout)["instances"]
    assert sum(kept.values()) == 1


def test_status_of_no_server_exits_with_3(state: Path) -> None:
    done = run("status", "--state", str(state))
    assert (done.returncode, done.stdout) == (3, "localgce does not run\n")
    done = run("status", "--state", str(state), "--json")
    assert (done.returncode, done.stdout) == (3, "null\n")
    assert not state.exists()


def test_a_server_of_another_kind_is_not_taken_for_the_same(state: Path) -> None:
    up(state)
    for others in (["--machines", "qemu"], ["--machines", "instant", "--project", "other"]):
        done = run("up", "--state", str(state), *others)
        assert done.returncode == 1
        assert "a server with instant machines and the project demo runs on" in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_killed_server_does_not_run_and_is_started_again(state: Path) -> None:
    up(state)
    found = running(state)
    assert found is not None
    os.kill(found.pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(found.pid)] if psutil.pid_exists(found.pid) else [])
    assert run("status", "--state", str(state)).returncode == 3
    assert up(state).startswith("localgce runs now")


def test_another_process_with_the_id_of_a_killed_server_is_left_alone(state: Path) -> None:
    state.mkdir()
    started = psutil.Process().create_time() - 3600
    ServerFile(os.getpid(), started, "http://127.0.0.1:1", "demo", "instant").write(state)
    assert running(state) is None
    assert not background.down(state, grace=0)


def test_a_server_that_does_not_answer_is_reported(state: Path) -> None:
    up(state)
    found = running(state)
    assert found is not None
    moved = ServerFile(found.pid, found.started, "http://127.0.0.1:1", "demo", "instant")
    moved.write(state)
    with pytest.raises(MachineError, match=f"pid {found.pid}, does not answer"):
        background.status(state)
    found.write(state)


def test_a_server_that_cannot_start_says_why(state: Path, instant: Gce) -> None:
    port = instant.base.rsplit(":", 1)[1]
    done = run("up", "--state", str(state), "--machines", "instant", "--port", port)
    assert done.returncode == 1
    why = f"cannot listen on 127.0.0.1:{port}: Address already in use"
    assert done.stderr == f"localgce: the server does not start: {why}\n"
    assert not (state / FILE).exists()
    assert why in (state / LOG).read_text()
    assert run("reset", "--state", str(state)).returncode == 0


def test_logs_of_no_server_are_a_line(state: Path) -> None:
    done = run("logs", "--state", str(state))
    assert done.returncode == 1
    assert done.stderr.startswith(f"localgce: there is no log at {state / LOG}")


def test_the_state_of_nobody_else_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/somewhere")
    assert str(default_state()) == "/somewhere/localgce"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert str(default_state()) == "/home/me/.local/state/localgce"
