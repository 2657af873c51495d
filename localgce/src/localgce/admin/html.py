"""The HTML of the console's pages: a frame, tables, and values that lead to other pages."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import escape
from importlib import resources
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.responses import HTMLResponse, Response

from localgce.core.links import last
from localgce.http.guard import CONSOLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from localgce.core.store import Record

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self';"
    " connect-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none';"
    " form-action 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_ASSETS = resources.files("localgce") / "admin" / "assets"
ASSETS = {"console.css": "text/css", "console.js": "text/javascript"}
"""The style sheet and the script, and their media types."""
_LONGEST = 2_000  # characters of a value; user data and scripts are longer
_STATUSES = {
    **dict.fromkeys(("RUNNING", "READY", "DONE", "UP"), "good"),
    **dict.fromkeys(("FAILED", "failed"), "bad"),
    **dict.fromkeys(("PENDING", "PROVISIONING", "STAGING", "STOPPING", "SUSPENDING"), "busy"),
    **dict.fromkeys(("CREATING", "DELETING", "REPAIRING"), "busy"),
}
_COMMAND = re.compile(r"command/(gcloud[\w.-]*)")
# programs that say beside their library what they are
_PROGRAM = re.compile(r"\b(OpenTofu|Terraform|Packer|packer-plugin-\w+|bakehouse)\b(?:/[\w.]+)?")
GLOBAL = ("images", "machineImages", "snapshots")
# which pages there are: of zonal, regional and global resources
KINDS = {"zone": ("instances", "disks"), "region": ("disks",), "": GLOBAL}


def page(title: str, parts: Iterable[str], status: int = 200, *, follow: bool = False) -> Response:
    """A page; with `follow` it stays at its end while it grows."""
    nav = f'<nav><a href="{CONSOLE}">localgce</a></nav>'
    main = (
        f"<main{' data-follow' if follow else ''}><h1>{escape(title)}</h1>{''.join(parts)}</main>"
    )
    return HTMLResponse(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><link rel="stylesheet" href="{CONSOLE}/console.css">'
        f'<script src="{CONSOLE}/console.js" defer></script></head>'
        f"<body>{nav}{main}</body></html>",
        status,
        HEADERS,
    )


def asset(name: str) -> Response:
    """The style sheet or the script."""
    return Response((_ASSETS / name).read_bytes(), 200, HEADERS, ASSETS[name])


def section(title: str, heads: Sequence[str], rows: Sequence[str], none: str, total: int) -> str:
    """A table under a headline; `total` counts also the rows that are not shown."""
    left = f" <small>the newest {len(rows)} of {total}</small>" if total > len(rows) else ""
    head = f"<h2>{escape(title)}{left}</h2>"
    if not rows:
        return f'{head}<p class="none">{escape(none)}</p>'
    cells = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    table = f"<table><thead><tr>{cells}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f'{head}<div class="wide">{table}</div>'


def row(*cells: str) -> str:
    """A row of cells that are HTML already, each with its `<td>`."""
    return f"<tr>{''.join(cells)}</tr>"


def cell(html: str, kind: str = "") -> str:
    """A cell."""
    return f'<td class="{kind}">{html}</td>' if kind else f"<td>{html}</td>"


def facts(rows: Iterable[tuple[str, object]]) -> str:
    """A table of names and values, without the empty ones."""
    shown = "".join(
        f'<tr><th scope="row">{escape(key)}</th><td>{_value(value)}</td></tr>'
        for key, value in rows
        if value not in {None, ""}
    )
    return f'<div class="wide"><table class="facts">{shown}</table></div>'


def status_of(text: str) -> str:
    """A status in its colour."""
    kind = _STATUSES.get(text)
    return f'<span class="{kind}">{escape(text)}</span>' if kind else escape(text)


def moment(text: object) -> str:
    """A timestamp of the API, as `utc` writes it."""
    return f"<time>{escape(utc(text))}</time>"


def utc(text: object) -> str:
    """A timestamp of the API, to the second, in UTC; empty where there is none."""
    if not text:
        return ""
    return f"{datetime.fromisoformat(str(text)).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def link(record: Record) -> str:
    """A link to the page of a resource."""
    return f'<a href="{path_of(record)}">{escape(record.name)}</a>'


def path_of(record: Record) -> str:
    """The path of the page of a resource."""
    return quote(f"{CONSOLE}/{record.path}")


def reference(url: object) -> str:
    """A selfLink as the name of its resource, which leads to its page where there is one."""
    text = str(url or "")
    path = text.partition("/compute/v1/")[2]
    parts = path.split("/")
    within = KINDS.get(parts[2].removesuffix("s"), ()) if len(parts) == 6 else ()
    if (within and parts[4] in within) or (
        len(parts) == 5 and parts[2] == "global" and parts[3] in GLOBAL
    ):
        return f'<a href="{escape(quote(f"{CONSOLE}/{path}"))}">{escape(last(text))}</a>'
    return escape(last(text))


def client(agent: str | None) -> str:
    """A client's User-Agent, in short; localgce itself (an instance group) has none."""
    if agent is None:
        return ""
    return f'<span title="{escape(agent)}">{escape(short_client(agent))}</span>'


def short_client(agent: str) -> str:
    """What to call a client: gcloud's command, a known program, or its first word."""
    if not agent:
        return "localgce"
    if command := _COMMAND.search(agent):
        return command[1].replace(".", " ")
    if program := _PROGRAM.search(agent):
        return program[0]
    return agent.split()[0]


def _value(value: object) -> str:
    text = str(value)
    if text.startswith("https://www.googleapis.com/compute/v1/"):
        return reference(text)
    return status_of(_short(text))


def _short(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]} … ({len(text)} characters)"
