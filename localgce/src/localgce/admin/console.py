"""The console: HTML pages of machines, disks, images and operations, for people; they only read.

A link on another page (Airflow's) may lead here, so a browser's top-level navigation from another
site is answered; such a page can neither read the answer nor show it in a frame.
"""

from __future__ import annotations

import heapq
import re
from html import escape
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from localgce.admin import html
from localgce.core.errors import MachineError
from localgce.core.links import last
from localgce.core.operations import KINDS
from localgce.http.guard import CONSOLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from starlette.requests import Request

    from localgce.core.context import Core
    from localgce.core.errors import Json
    from localgce.core.store import Record
    from localgce.instances.lifecycle import Lifecycle

_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>c78])|[\x00-\x08\x0b-\x1f\x7f]")
_CREATORS = {"insert", "createSnapshot", "bulkInsert"}
_MOST = 100  # rows of a section
_WORDS = {
    "instances": "machine",
    "disks": "disk",
    "images": "image",
    "machineImages": "image",
    "snapshots": "snapshot",
}


def routes(core: Core, lifecycle: Lifecycle) -> list[Route]:
    """The routes."""
    pages = _Console(core, lifecycle)
    zonal = CONSOLE + "/projects/{project}/zones/{zone}/{kind}/{name}"
    regional = CONSOLE + "/projects/{project}/regions/{region}/{kind}/{name}"
    glob = CONSOLE + "/projects/{project}/global/{kind}/{name}"
    return [
        Route("/", _to_the_console, methods=["GET"]),
        Route(CONSOLE, pages.overview, methods=["GET"]),
        Route(CONSOLE + "/{asset:str}", pages.asset, methods=["GET"]),
        Route(zonal, pages.resource, methods=["GET"]),
        Route(f"{zonal}/serial", pages.serial, methods=["GET"]),
        Route(f"{zonal}/screenshot.png", pages.screenshot, methods=["GET"]),
        Route(regional, pages.resource, methods=["GET"]),
        Route(glob, pages.resource, methods=["GET"]),
    ]


class _Console:
    def __init__(self, core: Core, lifecycle: Lifecycle) -> None:
        self._core = core
        self._lifecycle = lifecycle

    async def overview(self, _: Request) -> Response:
        """All machines, disks, images and operations, the newest first."""
        operations = self._all_operations()
        made_by = _made_by(operations)
        return html.page(
            "Compute Engine on this machine",
            [
                self._section("Machines", ("instances",), made_by, _MACHINE),
                self._section("Disks", ("disks",), made_by, _DISK),
                self._section("Images", html.GLOBAL, made_by, _IMAGE),
                _operations(operations),
            ],
        )

    async def asset(self, request: Request) -> Response:
        """The style sheet and the script."""
        name = request.path_params["asset"]
        if name not in html.ASSETS:
            return Response(status_code=404)
        return html.asset(name)

    async def resource(self, request: Request) -> Response:
        """One machine, disk, image or snapshot."""
        found = self._found(request)
        if found is None:
            return _gone(request)
        rows = [*_shared(found), *_DETAILS[found.kind](found.body)]
        parts = [html.facts(rows), *_dictionaries(found)]
        if found.kind == "instances":
            parts = [*self._of_guest(found), *parts]
        own = [one for one in self._all_operations() if one.body["targetId"] == found.id]
        title = f"{_WORDS[found.kind].capitalize()} {found.name}"
        return html.page(title, [*parts, _operations(own)])

    async def serial(self, request: Request) -> Response:
        """What a machine has written to its first serial port."""
        found = self._found(request)
        if found is None or found.kind != "instances":
            return _gone(request)
        contents, first, _ = self._lifecycle.serial(found, 1, 0)
        text = "\n".join(_clean(line) for line in contents.decode(errors="replace").split("\n"))
        lost = f"<p>The first {first} bytes were overwritten.</p>" if first else ""
        shown = f"<pre>{escape(text)}</pre>" if text.strip() else "<p>It has written nothing.</p>"
        status = html.status_of(str(found.body.get("status", "")))
        back = f'<p><a href="{html.path_of(found)}">Machine {escape(found.name)}</a> · {status}</p>'
        return html.page(f"Serial output of {found.name}", [back, lost, shown], follow=True)

    async def screenshot(self, request: Request) -> Response:
        """What a machine's display shows, as a PNG; 404 for one without a display, or off."""
        found = self._found(request)
        machine = None
        if found is not None and found.kind == "instances":
            machine = self._lifecycle.find(found)
        if machine is None:
            return Response(status_code=404, headers=html.HEADERS)
        try:
            return Response(await machine.screenshot(), 200, html.HEADERS, "image/png")
        except MachineError as error:
            return Response(str(error), 404, html.HEADERS, "text/plain")

    def _found(self, request: Request) -> Record | None:
        of = request.path_params
        where = next((kind for kind in ("zone", "region") if kind in of), "")
        scope = f"{where}s/{of[where]}" if where else "global"
        if of["kind"] not in html.KINDS[where]:
            return None
        return self._core.store.get(of["kind"], of["project"], scope, of["name"])

    def _of_guest(self, instance: Record) -> Iterator[str]:
        """What the guest shows: the way to its serial output, and its display."""
        path = html.path_of(instance)
        yield f'<p><a href="{path}/serial">Serial output</a></p>'
        machine = self._lifecycle.find(instance)
        if machine is not None and machine.running and machine.display:
            picture = f"{path}/screenshot.png"
            yield f'<p><img alt="The display" src="{picture}" data-source="{picture}"></p>'

    def _all_operations(self) -> list[Record]:
        return [record for kind in KINDS for record in self._core.store.all(kind)]

    def _section(
        self, title: str, kinds: Iterable[str], made_by: dict[str, str | None], more: _Column
    ) -> str:
        found = [record for kind in kinds for record in self._core.store.all(kind)]
        head, value = more
        rows = [
            html.row(
                html.cell(html.link(one)),
                html.cell(html.status_of(str(one.body.get("status", "")))),
                html.cell(value(one.body)),
                html.cell(escape(f"{one.project}, {last(one.scope)}")),
                html.cell(html.client(made_by.get(one.id))),
                html.cell(html.moment(one.body.get("creationTimestamp"))),
            )
            for one in _newest(found, "creationTimestamp")
        ]
        heads = ("Name", "Status", head, "Where", "Created by", "Created")
        none = f"There is no {_WORDS[next(iter(kinds))]}."
        return html.section(title, heads, rows, none, len(found))


def _made_by(operations: Iterable[Record]) -> dict[str, str | None]:
    """The client that has created a resource, by the resource's id."""
    return {
        str(operation.body["targetId"]): operation.private.get("agent")
        for operation in operations
        if str(operation.body["operationType"]).rpartition(".")[2] in _CREATORS
    }


async def _to_the_console(_: Request) -> Response:
    return RedirectResponse(CONSOLE, 303)


def _operations(records: list[Record]) -> str:
    rows = [
        html.row(
            html.cell(html.moment(one.body.get("insertTime"))),
            html.cell(escape(str(one.body["operationType"]))),
            html.cell(html.reference(one.body["targetLink"])),
            html.cell(_outcome(one.body), "text" if "error" in one.body else ""),
            html.cell(html.client(one.private.get("agent"))),
        )
        for one in _newest(records, "insertTime")
    ]
    heads = ("Begun", "Operation", "Of", "Status", "Called by")
    return html.section("Operations", heads, rows, "There is no operation.", len(records))


def _outcome(body: Json) -> str:
    errors = body.get("error", {}).get("errors", [])
    if errors:
        return f"{html.status_of('failed')}: {escape(errors[0].get('message', ''))}"
    return html.status_of(str(body["status"]))


def _newest(records: list[Record], key: str) -> list[Record]:
    return heapq.nlargest(_MOST, records, key=lambda record: str(record.body.get(key)))


def _shared(record: Record) -> Iterator[tuple[str, object]]:
    yield "Status", record.body.get("status")
    yield "Project", record.project
    yield "Where", record.scope
    yield "Description", record.body.get("description")
    yield "Created", html.utc(record.body.get("creationTimestamp"))
    yield "Id", record.body.get("id")


def _instance(body: Json) -> Iterator[tuple[str, object]]:
    yield "Machine type", last(body.get("machineType", ""))
    yield "Last start", html.utc(body.get("lastStartTimestamp"))
    yield "Last stop", html.utc(body.get("lastStopTimestamp"))
    for interface in body.get("networkInterfaces", []):
        yield "Network", last(interface.get("network", ""))
        yield "Internal address", interface.get("networkIP")
        for access in interface.get("accessConfigs", []):
            yield "External address", access.get("natIP")
    for disk in body.get("disks", []):
        yield "Boot disk" if disk.get("boot") else "Disk", disk.get("source")
        if disk.get("type") == "SCRATCH":
            yield "Local SSD", f"{disk['deviceName']}, {disk['diskSizeGb']} GB, {disk['interface']}"


def _disk(body: Json) -> Iterator[tuple[str, object]]:
    yield "Size", f"{body.get('sizeGb')} GB"
    yield "Type", last(body.get("type", ""))
    yield "Source image", body.get("sourceImage")
    yield "Source snapshot", body.get("sourceSnapshot")
    for user in body.get("users", []):
        yield "Used by", user


def _image(body: Json) -> Iterator[tuple[str, object]]:
    yield "Family", body.get("family")
    yield "State", (body.get("deprecated") or {}).get("state")
    yield "Disk size", f"{body['diskSizeGb']} GB" if "diskSizeGb" in body else None
    yield "Source disk", body.get("sourceDisk")
    yield "Source image", body.get("sourceImage")
    yield "Source machine", body.get("sourceInstance")


_DETAILS: dict[str, Callable[[Json], Iterable[tuple[str, object]]]] = {
    "instances": _instance,
    "disks": _disk,
    "images": _image,
    "machineImages": _image,
    "snapshots": _image,
}


def _addresses(body: Json) -> str:
    found = [
        address
        for interface in body.get("networkInterfaces", [])
        for address in (
            interface.get("networkIP"),
            *(access.get("natIP") for access in interface.get("accessConfigs", [])),
        )
    ]
    return escape(", ".join(filter(None, found)))


def _users(body: Json) -> str:
    return ", ".join(html.reference(user) for user in body.get("users", []))


def _family(body: Json) -> str:
    state = (body.get("deprecated") or {}).get("state")
    return escape(" ".join(filter(None, (body.get("family"), f"({state})" if state else ""))))


_Column = tuple[str, "Callable[[Json], str]"]
_MACHINE: _Column = ("Addresses", _addresses)
_DISK: _Column = ("Used by", _users)
_IMAGE: _Column = ("Family", _family)


def _dictionaries(record: Record) -> Iterator[str]:
    if labels := record.body.get("labels"):
        yield f"<h2>Labels</h2>{html.facts(sorted(labels.items()))}"
    if items := (record.body.get("metadata") or {}).get("items"):
        rows = sorted((item["key"], item.get("value")) for item in items)
        yield f"<h2>Metadata</h2>{html.facts(rows)}"


def _clean(line: str) -> str:
    return _ESCAPES.sub("", line)


def _gone(request: Request) -> Response:
    what, name = _WORDS.get(request.path_params["kind"], "page"), request.path_params["name"]
    text = f"<p>The {what} {escape(name)} does not exist: it was deleted, or never created.</p>"
    if what == "machine":
        text += (
            "<p>Its serial output is gone, too; the log of the task that waited for it has it.</p>"
        )
    return html.page(f"No {what} {name}", [text], 404)
