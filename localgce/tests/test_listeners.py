"""Every way into a server: what listens, and that each route refuses what a web page sends."""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psutil

from localgce.core.settings import Settings
from localgce.http.guard import is_console
from localgce.machines.instant.host import InstantHost
from localgce.service import Service

from .test_strangers import sent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import Server
    from .gce import Gce

CLICKED = (("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"))


def test_a_server_listens_at_one_port_of_loopback(make_server: Callable[..., Server]) -> None:
    server = make_server()
    gce = server.start()
    gce.create("web")
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    listening = [one.laddr for one in process.net_connections("inet") if one.status == "LISTEN"]
    assert [(one.ip, one.port) for one in listening] == [("127.0.0.1", urlsplit(gce.base).port)]


def routes(state: Path) -> list[tuple[str, str]]:
    """Each method and path that is not the API's; parameters have some value."""
    service = Service(Settings(state, "demo", state), InstantHost(state))
    try:
        app = service.app()
    finally:
        service.store.close()
    found = []
    for route in app.others.routes:
        path = re.sub(r"\{\w+(:\w+)?\}", "x", getattr(route, "path", ""))
        found += [(method, path) for method in sorted(getattr(route, "methods", None) or ())]
    return found


def test_no_route_answers_a_stranger(instant: Gce, tmp_path: Path) -> None:
    own = ("host", urlsplit(instant.base).netloc)
    found = routes(tmp_path / "state")
    for expected in ("/", "/_localgce/images", "/_localgce/consoles", "/batch/compute/v1"):
        assert expected in {path for _, path in found}
    for method, path in [*found, ("GET", "/compute/v1/projects/demo/zones")]:
        for headers in (
            [("host", "evil.example")],
            [own, ("origin", "http://evil.example")],
            [own, ("origin", "null")],
            [own, ("sec-fetch-site", "cross-site")],
            [own, ("sec-fetch-site", "same-site"), ("sec-fetch-mode", "no-cors")],
        ):
            assert sent(instant, method, path, headers) == 403, (method, path, headers)
        followed = [own, ("sec-fetch-site", "cross-site"), *CLICKED]
        if not is_console("GET" if method == "HEAD" else method, path):
            assert sent(instant, method, path, followed) == 403, (method, path)
        if method in {"POST", "PUT", "PATCH"}:
            form = [own, ("content-type", "application/x-www-form-urlencoded")]
            assert sent(instant, method, path, form, b"a=b") == 415, (method, path)


def test_what_a_link_may_lead_to_only_reads(tmp_path: Path) -> None:
    console = [(m, p) for m, p in routes(tmp_path / "state") if is_console("GET", p)]
    assert console
    assert {method for method, _ in console} == {"GET", "HEAD"}


def test_the_state_of_a_server_is_written_by_its_owner_only(
    make_server: Callable[..., Server],
) -> None:
    """Sockets of machines too: who may not write to a socket cannot connect to it."""
    server = make_server()
    server.start()
    for path in [server.state, *server.state.rglob("*")]:
        assert not path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH), path
