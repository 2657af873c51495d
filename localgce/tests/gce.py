"""A plain HTTP client for the tests."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable

DEBIAN = "projects/debian-cloud/global/images/family/debian-12"
REGION = "us-central1"
ZONE = f"{REGION}-a"


class Gce:
    """Calls below `/compute/v1/projects/demo/`."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.http = httpx.Client(base_url=base, timeout=400)
        self.root = "/compute/v1/projects/demo"

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> httpx.Response:
        """Any call; `path` is below the project."""
        return self.http.request(method, f"{self.root}/{path}", json=body, params=query)

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """A GET that must work."""
        return self._good(self.call("GET", path, **query))

    def items(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """The items of a list."""
        found: list[dict[str, Any]] = self.get(path, **query).get("items", [])
        return found

    def start(self, method: str, path: str, body: Any = None, **query: Any) -> dict[str, Any]:
        """A change that must be accepted: its operation as answered."""
        return self._good(self.call(method, path, body, **query))

    def do(self, method: str, path: str, body: Any = None, **query: Any) -> dict[str, Any]:
        """A change that must work: its operation when done."""
        done = self.finish(self.start(method, path, body, **query))
        assert "error" not in done, done["error"]
        return done

    def finish(self, operation: dict[str, Any]) -> dict[str, Any]:
        """The operation when done."""
        scope = operation["selfLink"].split("/projects/demo/")[1]
        while operation["status"] != "DONE":
            operation = self.start("POST", f"{scope}/wait")
        return operation

    def fails(
        self, status: int, reason: str, method: str, path: str, body: Any = None, **query: Any
    ) -> str:
        """A call that must be refused: the message."""
        response = self.call(method, path, body, **query)
        error = response.json()["error"]
        assert (response.status_code, error["errors"][0]["reason"]) == (status, reason), error
        assert error["code"] == status
        return str(error["message"])

    def admin(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Localgce's own pages."""
        return self._good(self.http.request(method, f"/_localgce/{path}", json=body))

    def create(self, name: str, **more: Any) -> dict[str, Any]:
        """An instance from the public image, running."""
        self.do("POST", f"zones/{ZONE}/instances", instance(name, **more))
        return self.get(f"zones/{ZONE}/instances/{name}")

    def instance(self, name: str) -> dict[str, Any]:
        """An instance as it is now."""
        return self.get(f"zones/{ZONE}/instances/{name}")

    def until(self, what: Callable[[], Any], seconds: float = 120) -> Any:
        """The first true result of `what`; fails after the deadline."""
        end = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < end, f"not true within {seconds} s"
            time.sleep(0.02)
        return found

    def _good(self, response: httpx.Response) -> dict[str, Any]:
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found


def instance(name: str, *, metadata: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """The body of an insert."""
    disk = {"boot": True, "autoDelete": True, "initializeParams": {"sourceImage": DEBIAN}}
    items = [{"key": key, "value": value} for key, value in (metadata or {}).items()]
    return {
        "name": name,
        "machineType": f"zones/{ZONE}/machineTypes/e2-small",
        "disks": [disk],
        "networkInterfaces": [{"network": "global/networks/default"}],
        "metadata": {"items": items},
        **more,
    }
