"""A pytest fixture: a server with instant machines, for the tests of another project.

`pytest_plugins = ["localgce.pytest_plugin"]` stands in its conftest.py:

    def test_my_bakery(localgce):
        client = compute_v1.InstancesClient(
            client_options={"api_endpoint": localgce.url}, credentials=AnonymousCredentials()
        )

The server lives as long as the session; each xdist worker has its own.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

PROJECT = "demo"
_STOP_SECONDS = 120


@dataclass(frozen=True)
class LocalGce:
    """A running server."""

    url: str  # http://127.0.0.1:PORT: the api_endpoint of Google's clients
    project: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which gcloud uses this server."""
        return {
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE": f"{self.url}/compute/v1/",
            "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
            "CLOUDSDK_CORE_PROJECT": self.project,
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        }

    def fault(self, **rule: object) -> None:
        """Add a fault, such as `kind="http", method="compute.instances.insert", status=503`."""
        self._admin("POST", rule)

    def clear_faults(self) -> None:
        """Remove all faults; operations that they hold continue."""
        self._admin("DELETE", None)

    def _admin(self, method: str, body: Any) -> None:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_localgce/faults", data, method=method)
        request.add_header("Content-Type", "application/json")
        # not through a proxy of the environment: the server is on this machine
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).close()


@contextmanager
def running(state: Path, *options: str, project: str = PROJECT) -> Generator[LocalGce]:
    """A server on this state folder until the block ends; raises RuntimeError with its last words.

    `options` are those of `localgce serve`, such as `--machines qemu`.
    """
    command = [sys.executable, "-m", "localgce", "serve", "--port", "0", "--project", project]
    command += ["--state", str(state), "--machines", "instant", *options]
    log = state.parent / f"{state.name}.log"
    with log.open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    assert process.stdout is not None
    try:
        words = process.stdout.readline().split()
        if words[:1] != ["ready"]:
            raise RuntimeError(f"localgce does not start: {log.read_text()[-2000:]}")
        yield LocalGce(words[1], project)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(_STOP_SECONDS)
        process.stdout.close()


@pytest.fixture(scope="session")
def localgce(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalGce]:
    """The session's server, with instant machines."""
    with running(tmp_path_factory.mktemp("localgce") / "state") as server:
        yield server


@pytest.fixture
def localgce_faults(localgce: LocalGce) -> Iterator[LocalGce]:
    """The server, without faults after the test."""
    yield localgce
    localgce.clear_faults()
