"""Apache Libcloud's Compute Engine driver: it lists and creates.

The driver has no option for another server, so its connection is replaced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from libcloud.common import google
from libcloud.compute.drivers import gce as driver
from libcloud.compute.types import NodeState

from .gce import ZONE, Gce

if TYPE_CHECKING:
    from collections.abc import Iterator


class NoCredential:
    """Replaces the OAuth credential."""

    access_token = "none"

    def __init__(self, *_: Any, **__: Any) -> None:
        """Accept the arguments of the real one."""


@pytest.fixture
def libcloud(instant: Gce, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The driver, at the session's server."""
    monkeypatch.setattr(google, "GoogleOAuth2Credential", NoCredential)
    where = urlsplit(instant.base)

    class Connection(driver.GCEConnection):
        host = str(where.hostname)
        poll_interval = 0.05

        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)  # type: ignore[no-untyped-call]
            self.port = where.port or 0
            self.secure = False

    monkeypatch.setattr(driver.GCENodeDriver, "connectionCls", Connection)
    make: Any = driver.GCENodeDriver
    made = make("user", "key", project="demo", datacenter=ZONE, secure=False)
    yield made
    made.connection.connection.session.close()


def test_libcloud_creates_and_lists(instant: Gce, libcloud: Any, name: str) -> None:
    image = libcloud.ex_get_image_from_family("debian-12", ["debian-cloud"])
    node = libcloud.create_node(name, "e2-small", image, location=ZONE, ex_labels={"of": name})
    assert (node.state, node.extra["status"]) == (NodeState.RUNNING, "RUNNING")
    assert instant.instance(name)["id"] == node.id
    assert name in {found.name for found in libcloud.list_nodes()}
    assert ZONE in {zone.name for zone in libcloud.ex_list_zones()}
    assert "e2-small" in {size.name for size in libcloud.list_sizes(location=ZONE)}
    assert name in {volume.name for volume in libcloud.list_volumes()}
    assert libcloud.destroy_node(node)
    with pytest.raises(google.ResourceNotFoundError):
        libcloud.ex_get_node(name)
