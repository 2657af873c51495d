"""What the runs call and how they end without a fault: recorded once for all workers of a session.

The cases are made from it while tests are collected, so every worker of pytest-xdist must find the
same: the first one records, the others read its file.
"""

from __future__ import annotations

import fcntl
import json
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.sweep.calls import Call, calls_of, distinct
from tests.integration.sweep.scenarios import NOT_COMPARED, SCENARIOS, EndState, server

if TYPE_CHECKING:
    from tests.integration.sweep.scenarios import Scenario, Server, World


@dataclass(frozen=True)
class Recording:
    """The calls of all scenarios, and the end of each."""

    calls: list[Call]
    ends: dict[str, EndState]

    def to_json(self) -> str:
        """As the file for the other workers."""
        return json.dumps({"calls": [asdict(call) for call in self.calls], "ends": self.ends})

    @classmethod
    def of_json(cls, text: str) -> Recording:
        """What `to_json` has written."""
        told = json.loads(text)
        return cls([Call(**call) for call in told["calls"]], told["ends"])


class Session:
    """The server of this process, and the recording of all processes."""

    key = pytest.StashKey["Session"]()

    def __init__(self, config: pytest.Config) -> None:
        self._stack = ExitStack()
        self._server: Server | None = None
        self._recording: Recording | None = None
        worker: dict[str, Any] = getattr(config, "workerinput", {})
        self._run = worker.get("testrunuid")

    @classmethod
    def of(cls, config: pytest.Config) -> Session:
        """The one of this process; it ends with pytest."""
        if cls.key not in config.stash:
            config.stash[cls.key] = made = cls(config)
            config.add_cleanup(made._stack.close)
        return config.stash[cls.key]

    @property
    def server(self) -> Server:
        """Started when it is first needed."""
        if self._server is None:
            folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="sweep-"))
            self._server = self._stack.enter_context(server(Path(folder)))
        return self._server

    @property
    def recording(self) -> Recording:
        """Made by the first process that needs it."""
        if self._recording is None:
            self._recording = self._shared() if self._run else self._record()
        return self._recording

    def _shared(self) -> Recording:
        file = Path(tempfile.gettempdir()) / f"sweep-{self._run}.json"
        with file.open("a+") as shared:
            fcntl.flock(shared, fcntl.LOCK_EX)
            shared.seek(0)
            if text := shared.read():
                return Recording.of_json(text)
            self._stack.callback(file.unlink, missing_ok=True)
            recording = self._record()
            shared.write(recording.to_json())
            return recording

    def _record(self) -> Recording:
        with self.server.inside() as world:
            ends, calls = {}, []
            for name, kind in SCENARIOS.items():
                found, ended = record(world, kind(world))
                calls += found
                ends[name] = comparable(ended)
        return Recording(distinct(calls), ends)


def record(world: World, scenario: Scenario) -> tuple[list[Call], EndState]:
    """One run without a fault: its calls and its end."""
    calls: list[Call] = []

    def ends(task: str) -> None:
        calls.extend(calls_of(scenario.name, task, world.compute.requests()["requests"]))

    ended = scenario.run(lambda _: world.compute.forget(), ends)
    return calls, ended


def comparable(ended: EndState) -> EndState:
    """Without what a fault may change, as JSON has it."""
    kept = {key: value for key, value in ended.items() if key not in NOT_COMPARED}
    found: EndState = json.loads(json.dumps(kept))
    return found
