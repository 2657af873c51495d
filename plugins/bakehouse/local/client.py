"""The few calls to the local localgce that need no Airflow: what is there, create, delete.

Builds use `ComputeHook` like every task. This is for the commands that must answer at once.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx

from bakehouse.local.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bakehouse.local.server import Server

LOOK_EVERY = 0.2
OPERATION_AT_MOST = 300.0


class Client:
    """The project of a local server; raises LocalError with the server's own words."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._http = httpx.Client(base_url=f"{server.api}/", timeout=60)

    def __enter__(self) -> Client:
        """Return the client."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close its connections."""
        self._http.close()

    def instances(self) -> list[dict[str, Any]]:
        """The instances of all zones."""
        return list(self._scoped("instances"))

    def disks(self) -> list[dict[str, Any]]:
        """The disks of all zones."""
        return list(self._scoped("disks"))

    def images(self, kind: str = "images") -> list[dict[str, Any]]:
        """The project's images; `kind` may be machineImages."""
        return list(self._call("GET", f"global/{kind}").get("items", []))

    def newest_of_family(self, project: str, family: str) -> dict[str, Any] | None:
        """The image that a family leads to."""
        return self._find(f"projects/{project}/global/images/family/{family}")

    def image(self, project: str, name: str) -> dict[str, Any] | None:
        """One image."""
        return self._find(f"projects/{project}/global/images/{name}")

    def instance(self, zone: str, name: str) -> dict[str, Any] | None:
        """One instance."""
        return self._find(f"{self._own}/zones/{zone}/instances/{name}")

    def insert(self, zone: str, body: dict[str, Any]) -> None:
        """Create an instance, and wait until it runs."""
        self._wait(self._call("POST", f"zones/{zone}/instances", body))

    def image_of_running(self, body: dict[str, Any]) -> dict[str, Any]:
        """Create an image of the disk of a running machine; return it."""
        self._wait(self._call("POST", "global/images?forceCreate=true", body))
        return self._call("GET", f"global/images/{body['name']}")

    def set_attribute(self, zone: str, name: str, key: str, value: str) -> None:
        """Add an attribute to an instance's metadata, or change it."""
        path = f"zones/{zone}/instances/{name}"
        metadata = self._call("GET", path)["metadata"]
        items = [item for item in metadata.get("items", []) if item["key"] != key]
        body = {"items": [*items, {"key": key, "value": value}]}
        body["fingerprint"] = metadata["fingerprint"]
        self._wait(self._call("POST", f"{path}/setMetadata", body))

    def start(self, zone: str, name: str) -> None:
        """Start a stopped instance."""
        self._wait(self._call("POST", f"zones/{zone}/instances/{name}/start"))

    def delete(self, path: str) -> None:
        """Delete a resource by its path in the project, if it exists; wait until it is gone."""
        answer = self._send("DELETE", path)
        if answer.status_code != httpx.codes.NOT_FOUND:
            self._wait(_checked(answer))

    def serial(self, zone: str, name: str, start: int) -> dict[str, Any]:
        """`{contents, start, next}` of the first serial port from a byte on."""
        path = f"{self._own}/zones/{zone}/instances/{name}/serialPort"
        return self._find(f"{path}?start={start}") or {}

    def guest_attribute(self, zone: str, name: str, key: str) -> str | None:
        """What a guest has written below `bakehouse/`."""
        path = f"{self._own}/zones/{zone}/instances/{name}/getGuestAttributes"
        found = self._find(f"{path}?queryPath=bakehouse/{key}") or {}
        items = (found.get("queryValue") or {}).get("items") or []
        return str(items[0].get("value", "")) if items else None

    def admin(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """POST to a page of the server's own."""
        return _checked(self._send("POST", f"{self._server.url}/_localgce/{path}", body))

    @property
    def _own(self) -> str:
        return self._server.api.removeprefix(f"{self._server.url}/compute/v1/")

    def _scoped(self, kind: str) -> Iterator[dict[str, Any]]:
        scopes = self._call("GET", f"aggregated/{kind}").get("items", {})
        for scope in scopes.values():
            yield from scope.get(kind, [])

    def _find(self, path: str) -> dict[str, Any] | None:
        answer = self._send("GET", f"{self._server.url}/compute/v1/{path}")
        return None if answer.status_code == httpx.codes.NOT_FOUND else _checked(answer)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        return _checked(self._send(method, path, body))

    def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        try:
            return self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise LocalError(f"localgce does not answer: {error}") from error

    def _wait(self, operation: dict[str, Any]) -> None:
        until = time.monotonic() + OPERATION_AT_MOST
        while operation["status"] != "DONE":
            if time.monotonic() > until:
                raise LocalError(f"{operation['operationType']} does not end")
            time.sleep(LOOK_EVERY)
            found = self._find(str(operation["selfLink"]).split("/v1/", 1)[-1])
            operation = found or {"status": "DONE"}
        for error in (operation.get("error") or {}).get("errors", []):
            raise LocalError(str(error.get("message") or error.get("code")))


def _checked(answer: httpx.Response) -> dict[str, Any]:
    if answer.is_success:
        found: dict[str, Any] = answer.json()
        return found
    try:
        message = answer.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = answer.text[:200]
    raise LocalError(f"localgce answers {answer.status_code}: {message}")
