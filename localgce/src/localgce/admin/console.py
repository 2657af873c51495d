"""The console: HTML pages of machines, their serial output and images, for people; they only read.

A link on another page (Airflow's) may lead here, so a browser's top-level navigation from another
site is answered; such a page can neither read the answer nor show it in a frame.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.responses import HTMLResponse
from starlette.routing import Route

from localgce.core.links import last
from localgce.http.guard import CONSOLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from starlette.requests import Request

    from localgce.core.context import Core
    from localgce.core.errors import Json
    from localgce.core.store import Record
    from localgce.instances.lifecycle import Lifecycle

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline';"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#222}
h1{font-size:1.4rem} h2{font-size:1.1rem;margin-top:1.6rem} nav{color:#666}
table{border-collapse:collapse} th,td{text-align:left;vertical-align:top;padding:.2rem 1.2rem .2rem
0}
th{font-weight:600;color:#555} pre{background:#f5f5f5;padding:1rem;white-space:pre-wrap;
overflow-wrap:anywhere;font-size:13px} td{overflow-wrap:anywhere}
@media (prefers-color-scheme: dark){body{background:#1b1b1b;color:#ddd} th,nav{color:#aaa}
pre{background:#262626} a{color:#8ab4f8}}
"""
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>c78])|[\x00-\x08\x0b-\x1f\x7f]")
_IMAGES = ("images", "machineImages")
_LONGEST = 2_000  # characters of a value; user data and scripts are longer


def routes(core: Core, lifecycle: Lifecycle) -> list[Route]:
    """The routes."""
    pages = _Console(core, lifecycle)
    zonal = CONSOLE + "/projects/{project}/zones/{zone}/instances/{name}"
    glob = CONSOLE + "/projects/{project}/global/{kind}/{name}"
    return [
        Route(CONSOLE, pages.overview, methods=["GET"]),
        Route(zonal, pages.instance, methods=["GET"]),
        Route(f"{zonal}/serial", pages.serial, methods=["GET"]),
        Route(glob, pages.image, methods=["GET"]),
    ]


class _Console:
    def __init__(self, core: Core, lifecycle: Lifecycle) -> None:
        self._core = core
        self._lifecycle = lifecycle

    async def overview(self, _: Request) -> HTMLResponse:
        """All machines and images."""
        store = self._core.store
        parts = ["<h2>Machines</h2>", _resources(store.all("instances"), "There is no machine.")]
        own = [image for kind in _IMAGES for image in store.all(kind)]
        parts += ["<h2>Images</h2>", _resources(own, "There is no image.")]
        return _page("Machines and images", parts)

    async def instance(self, request: Request) -> HTMLResponse:
        """One machine."""
        found = self._instance(request)
        if found is None:
            return _gone("machine", request)
        serial = f'<p><a href="{_path(found)}/serial">Serial output</a></p>'
        rows = [*_shared(found), *_of_instance(found.body)]
        parts = [serial, _table(rows), *_dictionaries(found)]
        return _page(f"Machine {found.name}", parts)

    async def serial(self, request: Request) -> HTMLResponse:
        """What a machine has written to its first serial port."""
        found = self._instance(request)
        if found is None:
            return _gone("machine", request)
        contents, first, _ = self._lifecycle.serial(found, 1, 0)
        text = "\n".join(_clean(line) for line in contents.decode(errors="replace").split("\n"))
        lost = f"<p>The first {first} bytes were overwritten.</p>" if first else ""
        shown = f"<pre>{escape(text)}</pre>" if text.strip() else "<p>It has written nothing.</p>"
        back = f'<p><a href="{_path(found)}">Machine {escape(found.name)}</a></p>'
        return _page(f"Serial output of {found.name}", [back, lost, shown])

    async def image(self, request: Request) -> HTMLResponse:
        """One image or machine image."""
        kind, project = (request.path_params[key] for key in ("kind", "project"))
        name = request.path_params["name"]
        found = self._core.store.get(kind, project, "global", name) if kind in _IMAGES else None
        if found is None:
            return _gone("image", request)
        return _page(
            f"Image {found.name}",
            [_table([*_shared(found), *_of_image(found.body)]), *_dictionaries(found)],
        )

    def _instance(self, request: Request) -> Record | None:
        of = request.path_params
        return self._core.store.get("instances", of["project"], f"zones/{of['zone']}", of["name"])


def _shared(record: Record) -> Iterator[tuple[str, object]]:
    yield "Status", record.body.get("status")
    yield "Project", record.project
    yield "Where", record.scope
    yield "Description", record.body.get("description")
    yield "Created", record.body.get("creationTimestamp")
    yield "Id", record.body.get("id")


def _of_instance(body: Json) -> Iterator[tuple[str, object]]:
    yield "Machine type", last(body.get("machineType", ""))
    yield "Last start", body.get("lastStartTimestamp")
    yield "Last stop", body.get("lastStopTimestamp")
    for interface in body.get("networkInterfaces", []):
        yield "Internal address", interface.get("networkIP")
        for access in interface.get("accessConfigs", []):
            yield "External address", access.get("natIP")
    for disk in body.get("disks", []):
        boot = "boot disk" if disk.get("boot") else disk.get("deviceName")
        yield "Disk", f"{last(disk.get('source', ''))} ({boot}, {disk.get('diskSizeGb', '?')} GB)"


def _of_image(body: Json) -> Iterator[tuple[str, object]]:
    yield "Family", body.get("family")
    yield "State", (body.get("deprecated") or {}).get("state")
    yield "Disk size", f"{body['diskSizeGb']} GB" if "diskSizeGb" in body else None
    yield "Source disk", last(body.get("sourceDisk", ""))
    yield "Source machine", last(body.get("sourceInstance", ""))


def _dictionaries(record: Record) -> Iterator[str]:
    if labels := record.body.get("labels"):
        yield f"<h2>Labels</h2>{_table(sorted(labels.items()))}"
    if items := (record.body.get("metadata") or {}).get("items"):
        rows = sorted((item["key"], item.get("value")) for item in items)
        yield f"<h2>Metadata</h2>{_table(rows)}"


def _resources(records: Iterable[Record], none: str) -> str:
    found = sorted(records, key=lambda record: str(record.body.get("creationTimestamp")))
    rows = "".join(
        f'<tr><td><a href="{_path(one)}">{escape(one.name)}</a></td>'
        f"<td>{escape(str(one.body.get('status', '')))}</td><td>{escape(one.project)}</td>"
        f"<td>{escape(one.scope)}</td></tr>"
        for one in reversed(found)
    )
    head = "<tr><th>Name</th><th>Status</th><th>Project</th><th>Where</th></tr>"
    return f"<table>{head}{rows}</table>" if rows else f"<p>{none}</p>"


def _table(rows: Iterable[tuple[str, object]]) -> str:
    return "<table>{}</table>".format(
        "".join(
            f"<tr><th>{escape(key)}</th><td>{escape(_short(str(value)))}</td></tr>"
            for key, value in rows
            if value not in {None, ""}
        )
    )


def _short(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]} … ({len(text)} characters)"


def _path(record: Record) -> str:
    return quote(f"{CONSOLE}/{record.path}")


def _clean(line: str) -> str:
    return _ESCAPES.sub("", line)


def _gone(what: str, request: Request) -> HTMLResponse:
    name = request.path_params["name"]
    text = f"<p>The {what} {escape(name)} does not exist: it was deleted, or never created.</p>"
    if what == "machine":
        text += (
            "<p>Its serial output is gone, too; the log of the task that waited for it has it.</p>"
        )
    return _page(f"No {what} {name}", [text], 404)


def _page(title: str, parts: Iterable[str], status: int = 200) -> HTMLResponse:
    nav = f'<nav><a href="{CONSOLE}">localgce</a></nav>'
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title>"
    body = f"<style>{_STYLE}</style>{nav}<h1>{escape(title)}</h1>{''.join(parts)}</html>"
    return HTMLResponse(head + body, status, _HEADERS)
