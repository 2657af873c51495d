"""A server of its own for a measurement, and a client that costs little."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psutil

if TYPE_CHECKING:
    from collections.abc import Generator

ZONE = "zones/us-central1-a"
DEBIAN = "projects/debian-cloud/global/images/family/debian-12"


_JSON = {"content-type": "application/json"}


class Bench:
    """One connection to the server, kept open."""

    def __init__(self, base: str, process: int, state: Path) -> None:
        """Connect to the server of that process."""
        where = urlsplit(base)
        self.state = state
        self._http = http.client.HTTPConnection(str(where.hostname), where.port, timeout=600)
        self._server = psutil.Process(process)

    @property
    def cpu(self) -> float:
        """Seconds of processor time that the server has used: what else runs does not count."""
        times = self._server.cpu_times()
        return float(times.user + times.system)

    def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """A call below the project that must work."""
        raw = json.dumps(body) if body is not None else None
        answer = self._answer(method, f"/compute/v1/projects/bench/{path}", raw)
        text = answer.read()
        assert answer.status == 200, text
        found: dict[str, Any] = json.loads(text)
        return found

    def _answer(self, method: str, path: str, raw: str | None) -> http.client.HTTPResponse:
        """The answer; a connection that was closed while nothing was asked is opened again."""
        try:
            self._http.request(method, path, raw, _JSON)
            return self._http.getresponse()
        except http.client.RemoteDisconnected:
            self._http.close()
            if method != "GET":  # the request may have had its effect
                raise
        self._http.request(method, path, raw, _JSON)
        return self._http.getresponse()

    def finish(self, operation: dict[str, Any]) -> None:
        """Wait for an operation that must work."""
        scope = operation["selfLink"].split("/projects/bench/")[1]
        while operation["status"] != "DONE":
            operation = self.call("POST", f"{scope}/wait")
        assert "error" not in operation, operation["error"]

    def do(self, method: str, path: str, body: Any = None) -> None:
        """A change, to its end."""
        self.finish(self.call(method, path, body))


@contextmanager
def serving(kind: str) -> Generator[Bench]:
    """A server with machines of that kind and a state folder that goes with it."""
    with tempfile.TemporaryDirectory(prefix="localgce-bench-") as folder:
        words = [sys.executable, "-m", "localgce", "serve", "--port", "0", "--state", folder]
        words += ["--project", "bench", "--machines", kind]
        log = (Path(folder) / "server.log").open("w")
        with log, subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, text=True) as process:
            assert process.stdout is not None
            try:
                line = process.stdout.readline().split()
                assert line, Path(log.name).read_text()
                yield Bench(line[1], process.pid, Path(folder))
            finally:
                process.terminate()


def instance(name: str) -> dict[str, Any]:
    """The body of an insert."""
    disk = {"boot": True, "autoDelete": True, "initializeParams": {"sourceImage": DEBIAN}}
    return {
        "name": name,
        "machineType": f"{ZONE}/machineTypes/e2-small",
        "disks": [disk],
        "networkInterfaces": [{"network": "global/networks/default"}],
    }
