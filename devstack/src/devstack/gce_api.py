"""The Compute Engine API of a stack's localgce, as far as the demo and the tests need it."""

from __future__ import annotations

from typing import Any

import httpx

from devstack.waiting import wait_until

Resource = dict[str, Any]


class ComputeError(RuntimeError):
    """The API refused; with the API's own message."""


class Compute:
    """Reads one project, and reaches localgce's administration (`/_localgce/...`)."""

    def __init__(self, url: str, project: str) -> None:
        self.url, self.project = url.rstrip("/"), project
        self._client = httpx.Client(base_url=url, timeout=30, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def another(self) -> Compute:
        """Connections of its own, for another thread; to be closed by whoever asks."""
        return Compute(self.url, self.project)

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        """`path` below `/compute/v1/projects/PROJECT/`."""
        return self._send(method, f"/compute/v1/projects/{self.project}/{path}", **arguments)

    def listed(self, path: str) -> list[Resource]:
        """Every page of a list."""
        items: list[Resource] = []
        token = None
        while True:
            page = self.call("GET", path, params={"pageToken": token} if token else {})
            items += page.get("items", [])
            token = page.get("nextPageToken")
            if not token:
                return items

    def images(self) -> list[Resource]:
        """All images of the project."""
        return self.listed("global/images")

    def image(self, name: str) -> Resource:
        """One image; ComputeError when there is none."""
        found: Resource = self.call("GET", f"global/images/{name}")
        return found

    def newest_of(self, family: str) -> Resource:
        """The newest image of the family that is not deprecated."""
        found: Resource = self.call("GET", f"global/images/family/{family}")
        return found

    def instances(self) -> list[Resource]:
        """The instances of all zones."""
        return [item for zone in self.zones() for item in self.listed(f"zones/{zone}/instances")]

    def disks(self) -> list[Resource]:
        """The disks of all zones."""
        return [item for zone in self.zones() for item in self.listed(f"zones/{zone}/disks")]

    def zones(self) -> list[str]:
        """The names of the zones."""
        return [zone["name"] for zone in self.listed("zones")]

    def serial_output(self, instance: str) -> str:
        """What `zones/ZONE/instances/NAME` has written to its first serial port."""
        found = self.call("GET", f"{instance}/serialPort", params={"port": 1})
        return str(found["contents"])

    def set_project_attribute(self, key: str, value: str = "true") -> None:
        """Add it to the metadata of the project, which every guest reads."""
        path = f"/compute/v1/projects/{self.project}"
        known = self._send("GET", path)["commonInstanceMetadata"]
        items = [item for item in known.get("items", []) if item["key"] != key]
        body = {
            "fingerprint": known["fingerprint"],
            "items": [*items, {"key": key, "value": value}],
        }
        self._send("POST", f"{path}/setCommonInstanceMetadata", json=body)

    def delete_machines(self, deadline: float = 300) -> None:
        """Every instance, then every disk: a rollout leaves some for the next one on purpose."""
        self._delete("instances", self.instances())
        wait_until(lambda: not self.instances(), deadline, "the instances to be gone")
        self._delete("disks", self.disks())
        wait_until(lambda: not self.disks(), deadline, "the disks to be gone")

    def _delete(self, kind: str, items: list[Resource]) -> None:
        for item in items:
            zone = str(item["zone"]).rsplit("/", 1)[1]
            self.call("DELETE", f"zones/{zone}/{kind}/{item['name']}")

    # localgce's administration

    def fault(self, **rule: Any) -> Any:
        """Inject a fault: calls fail or are slow, or machines vanish."""
        return self._send("POST", "/_localgce/faults", json=rule)

    def console(self, instance: str) -> str:
        """Give a real machine a console with a root shell; returns the path of its socket."""
        return str(self._send("POST", "/_localgce/consoles", json={"instance": instance})["socket"])

    def faults(self) -> list[Resource]:
        """The faults that are set, each with the requests that it has `seen` and its `hits`."""
        found: list[Resource] = self._send("GET", "/_localgce/faults")["faults"]
        return found

    def clear_faults(self) -> None:
        """Remove all faults."""
        self._send("DELETE", "/_localgce/faults")

    def requests(self) -> Any:
        """The last `requests` since `forget`, and the `counts` of all by method."""
        return self._send("GET", "/_localgce/requests")

    def forget(self) -> None:
        """Remove all faults and empty the list of requests."""
        self.clear_faults()
        self._send("DELETE", "/_localgce/requests")

    def _send(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            answer = self._client.request(method, path, **arguments)
        except httpx.HTTPError as error:
            raise ComputeError(f"{method} {path}: no answer: {error}") from error
        if answer.is_error:
            raise ComputeError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json() if answer.content else None
