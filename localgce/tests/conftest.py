"""Servers for the tests: one of each kind per session, and others per test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .gce import Gce

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GUEST = Path(__file__).parent / "guest_program.py"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--vm", action="store_true", help="also run the tests on real machines")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--vm"):
        config.option.markexpr = "not chaos and not fuzz_long and not long"


class Server:
    """A `localgce serve` of its own."""

    def __init__(self, state: Path, *options: str, machines: str = "instant") -> None:
        self.state = state
        self.machines = machines
        self.command = [sys.executable, "-m", "localgce", "serve", "--port", "0"]
        self.command += ["--state", str(state), "--project", "demo", "--machines", machines]
        self.command += ["--check-responses", *options]
        if machines == "instant" and "--guest" not in options:
            self.command += ["--guest", str(GUEST)]
        self.process: subprocess.Popen[str] | None = None
        self.clients: list[Gce] = []

    def start(self) -> Gce:
        """Start; a client of it."""
        path = self.state.parent / f"{self.state.name}.log"
        with path.open("a") as log:
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(self.command, stdout=pipe, stderr=log, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("ready "), path.read_text()
        self.clients.append(Gce(line.split()[1]))
        return self.clients[-1]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; the exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        status = self.process.wait(120)
        for client in self.clients:
            client.close()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status


@pytest.fixture(scope="session")
def instant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gce]:
    """The session's server with instant machines."""
    server = Server(tmp_path_factory.mktemp("instant") / "state")
    yield server.start()
    assert server.stop() == 0


@pytest.fixture(scope="session")
def qemu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gce]:
    """The session's server with real machines."""
    cache = os.environ.get("LOCALGCE_TEST_CACHE")
    options = ["--cache", cache] if cache else []
    # a guest that is still booting ignores the power button: most tests do not wait for the boot
    options += ["--shutdown-grace", "15", "--exit-grace", "0"]
    server = Server(tmp_path_factory.mktemp("qemu") / "state", *options, machines="qemu")
    yield server.start()
    assert server.stop() == 0


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Server]:
    """A server with real machines of its own, not started."""
    cache = os.environ.get("LOCALGCE_TEST_CACHE")
    options = ["--cache", cache] if cache else []
    made = Server(tmp_path / "state", *options, machines="qemu")
    yield made
    if made.process and made.process.poll() is None:
        made.stop()
    # also what a server that was killed has left running
    reset = [made.command[0], "-m", "localgce", "reset", "--state", str(made.state)]
    subprocess.run(reset, check=False)


@pytest.fixture(params=["instant", pytest.param("qemu", marks=pytest.mark.vm)])
def gce(request: pytest.FixtureRequest) -> Gce:
    """A client of a server of each kind: the contract holds for both."""
    found: Gce = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Makes servers that end with the test."""
    made: list[Server] = []

    def make(*options: str, state: Path | None = None) -> Server:
        server = Server(state or tmp_path / "state", *options)
        made.append(server)
        return server

    yield make
    for server in made:
        if server.process is not None and server.process.poll() is None:
            server.stop(signal.SIGKILL)


@pytest.fixture
def name() -> str:
    """A unique name."""
    return f"t-{uuid.uuid4().hex[:10]}"
