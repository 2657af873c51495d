"""Whoever is killed, and when: a rollout goes on where it was, and stops no member twice."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.flow.fleet import ZONE, Members
from tests.support.connections import Served
from tests.support.ledger import of_kind, read_ledger

from bakehouse.fleet.load import load_fleet
from bakehouse.history.location import ledger_url
from bakehouse.history.rollout_events import MemberReplacedEvent, RolloutEndedEvent
from bakehouse.rollout import replace
from bakehouse.rollout.states import State
from devstack.gce_api import Compute
from devstack.machines import GUEST
from devstack.serving import GCE_PROJECT

from .conftest import Images, baked, connected, repository
from .walk import Rollout

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from bakehouse.cloud.request_id import RequestIds
    from bakehouse.rollout.observation import MemberObservation
    from bakehouse.rollout.strategies.swap import Swap

NAMES = ["web-1", "web-2"]
FLEET = f"recipe: web\nmembers: {{instances: [web-1, web-2], zones: [{ZONE}]}}\nstages: [1, 100%]\n"


class Killed(BaseException):
    """The process that looks, or acts, was killed here."""


class Killer:
    """Kills at the first look at each new situation of a member, and behind each first action."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kill: Callable[[], None]) -> None:
        self.kill = kill
        self.looks: set[tuple[str, str, bool, str]] = set()
        self.actions: set[tuple[str, str]] = set()
        self.most_down = 0
        self._look, self._perform = replace.look, replace.perform
        monkeypatch.setattr(replace, "look", self.look)
        monkeypatch.setattr(replace, "perform", self.perform)

    def look(self, hook: Any, swap: Swap, **how: Any) -> MemberObservation:
        there = hook.instances(ZONE, "")
        down = [i["name"] for i in there if i["status"] != "RUNNING"]
        self.most_down = max(self.most_down, len(down))
        seen = self._look(hook, swap, **how)
        is_on = seen.boot_disk == swap.disk
        key = (swap.member, seen.status, is_on, str(seen.goal_disk))
        if key not in self.looks:
            self.looks.add(key)
            self.kill()
        return seen

    def perform(self, hook: Any, step: Any, swap: Swap, ids: RequestIds) -> Any:
        answer = self._perform(hook, step, swap, ids)
        if (swap.member, str(step)) not in self.actions:
            self.actions.add((swap.member, str(step)))
            self.kill()
        return answer


def die() -> None:
    raise Killed


def rollout(image: str, run_id: str) -> Rollout:
    return Rollout(load_fleet(FLEET, "fleets/web.yaml"), run_id, image)


def go_on(run: Rollout, number: int, *, is_worker: bool) -> int:
    """Replace the members of a stage, however often somebody is killed; return how often."""
    kills = 0
    while True:
        try:
            run.replace_again(number) if kills else run.replace(number)
        except Killed:
            kills += 1
            # a triggerer's successor has the arguments of the trigger, a worker's another try
            run.tries_before += is_worker
        else:
            run.tries_before = 0
            return kills


@pytest.mark.long
@pytest.mark.parametrize(
    "is_worker",
    [
        pytest.param(False, id="triggerer"),
        pytest.param(True, id="worker", marks=pytest.mark.chaos),
    ],
)
def test_a_member_is_stopped_once_however_often_its_walk_is_killed(
    fleet_of: Members, images: Images, monkeypatch: pytest.MonkeyPatch, is_worker: bool
) -> None:
    fleet_of.create(images.old, NAMES)
    run = rollout(images.new, f"manual__killed-{is_worker}")
    run.begin()
    killer = Killer(monkeypatch, die)
    kills = go_on(run, 1, is_worker=is_worker)
    run.verify(1)
    kills += go_on(run, 2, is_worker=is_worker)
    run.verify(2)
    run.plan_rollback()
    run.roll_back()
    assert run.verdict() == "success", run.errors
    assert kills >= len(killer.actions) + 8
    assert {step for _, step in killer.actions} == {
        "make_disk",
        "stop",
        "detach",
        "attach",
        "start",
    }
    assert fleet_of.stops() == dict.fromkeys(NAMES, 1)
    assert killer.most_down == 1
    after = fleet_of.facts()
    assert after.health == dict.fromkeys(NAMES, images.new)
    assert fleet_of.disks() == sorted([*after.boot.values(), *(f"{n}-data" for n in NAMES)])
    written = read_ledger(ledger_url(), run.run_id)
    replaced = of_kind(MemberReplacedEvent, written)
    assert sorted(e.detail.member for e in replaced) == NAMES
    assert {(e.detail.state, e.detail.first_try) for e in replaced} == {(State.REPLACED, "")}
    (ended,) = of_kind(RolloutEndedEvent, written)
    assert ended.detail.state == "succeeded"


class Server:
    """A localgce that can be killed, and comes back on its port with what it had stored."""

    def __init__(self, folder: Path) -> None:
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder, self.kills = folder, 0
        self._start()

    def _start(self) -> None:
        command = [sys.executable, "-m", "localgce", "serve", "--port", str(self.port)]
        command += ["--machines", "instant", "--state", str(self.folder / "state")]
        command += ["--project", GCE_PROJECT, "--guest", str(GUEST)]
        log = (self.folder / "localgce.log").open("a")
        with log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().removeprefix("ready ").strip()
        assert self.url, (self.folder / "localgce.log").read_text()[-2_000:]

    def kill(self) -> None:
        self.kills += 1
        self.close(signal.SIGKILL)
        self._start()

    def close(self, how: int = signal.SIGTERM) -> None:
        os.kill(self._process.pid, how)
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def killable(folder: Path) -> Generator[tuple[Server, Compute]]:
    repository(folder / "repository")
    server = Server(folder)
    try:
        with (
            closing(Compute(server.url, GCE_PROJECT)) as compute,
            connected(Served(compute, server.url, folder)),
        ):
            yield server, compute
    finally:
        server.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[tuple[Server, Compute]]:
    with killable(tmp_path) as found:
        yield found


@pytest.mark.chaos
def test_a_compute_engine_that_dies_in_each_state_delays_a_rollout_and_stops_nobody_twice(
    own: tuple[Server, Compute], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its machines lose their power with it, and some may start again by themselves."""
    server, compute = own
    old, new = baked("old"), baked("new")
    fleet = Members(type("Bed", (), {"compute": compute})())
    fleet.create(old, ["web-1"])
    stops: list[str] = []
    perform = replace.perform

    def counts(hook: Any, step: Any, swap: Swap, ids: RequestIds) -> Any:
        stops.extend([swap.member] if str(step) == "stop" else [])
        return perform(hook, step, swap, ids)

    monkeypatch.setattr(replace, "perform", counts)
    run = rollout(new, "manual__server-killed")
    run.members = ["web-1"]
    run.fleet = load_fleet(FLEET.replace("web-1, web-2", "web-1"), "fleets/web.yaml")
    run.begin()
    assert run.states["plan"] == "success", run.errors
    Killer(monkeypatch, server.kill)
    run.replace(1)
    assert run.states["replace_1_0"] == "success", run.errors
    assert server.kills >= 10
    assert stops == ["web-1"]
    assert json.loads(json.dumps(fleet.facts().images)) == {"web-1": new}
