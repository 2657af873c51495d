"""HTTP on a unix socket, and the metrics on a loopback port."""

from __future__ import annotations

import logging
import os
import socket
import socketserver
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from kafka_agent.agent import BAD_REQUEST, UNAVAILABLE, Answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kafka_agent.agent import Agent

log = logging.getLogger(__name__)

ROUTES = {
    "/gate": "GET",
    "/drain": "POST",
    "/health": "GET",
    "/resume": "POST",
    "/finalise": "POST",
    "/metrics": "GET",
}
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
PLAIN = "text/plain; charset=utf-8"
IDLE_SECONDS = 30  # for a request that is not sent to its end


class Handler(BaseHTTPRequestHandler):
    """One request; `answer` comes from the server."""

    protocol_version = "HTTP/1.1"
    server_version = "kafka-agent"
    sys_version = ""
    timeout = IDLE_SECONDS
    server: _Server

    def do_GET(self) -> None:
        """Each method comes here; the routing table refuses those that are none."""
        length = self.headers.get("Content-Length", "0")
        if length.isdigit():
            self.rfile.read(min(int(length), 65536))
        kind = PROMETHEUS if self.path.startswith("/metrics") else PLAIN
        try:
            answer = self.server.answer(self.command, self.path)
        except Exception as error:
            log.exception("%s %s", self.command, self.path)
            answer = Answer.of(UNAVAILABLE, f"failed: {type(error).__name__}: {error}")
        body = answer.body.encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", kind if answer.status == HTTPStatus.OK else PLAIN)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = do_GET

    def address_string(self) -> str:
        """The peer of a unix socket has none."""
        return "local"

    def log_message(self, format: str, *args: Any) -> None:
        """By the logging of the process."""
        log.debug(format, *args)


class _Server(ThreadingHTTPServer):
    """With what answers."""

    daemon_threads = True
    answer: Callable[[str, str], Answer]

    def handle_error(self, request: Any, client_address: Any) -> None:  # ruff: ignore[unused-method-argument]
        """Somebody who has hung up is no error."""
        log.debug("a connection has ended early", exc_info=True)


class UnixServer(_Server):
    """On a unix socket."""

    address_family = socket.AF_UNIX
    inode = 0

    def take_away(self, path: Path) -> None:
        """Removes the socket, unless the process after this one has put its own there."""
        try:
            if path.stat().st_ino == self.inode:
                path.unlink()
        except FileNotFoundError:
            pass

    def server_bind(self) -> None:
        """Takes the place of a socket that a process before it has left."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "local", 0

    def get_request(self) -> tuple[Any, Any]:
        """A connection; the handler wants an address."""
        connection, _ = self.socket.accept()
        return connection, ("local", 0)


def answer(agent: Agent, method: str, target: str) -> Answer:
    """The routing table."""
    url = urlsplit(target)
    wanted = ROUTES.get(url.path)
    if wanted is None:
        return Answer.of(404, f"no such path {url.path}; there are {', '.join(ROUTES)}")
    if wanted != method:
        return Answer.of(405, f"{url.path} is asked with {wanted}, not with {method}")
    parameters = parse_qs(url.query, keep_blank_values=True)
    if url.path in {"/gate", "/drain"}:
        unknown = sorted(set(parameters) - {"down"})
        if unknown:
            return Answer.of(BAD_REQUEST, f"no such parameter {unknown[0]}; there is `down`")
        given = ",".join(parameters.get("down", []))
        members = [one for one in given.replace(",", " ").split() if one]
        return agent.gate(members) if url.path == "/gate" else agent.drain(members)
    if parameters:
        return Answer.of(BAD_REQUEST, f"{url.path} takes no parameters")
    ask: dict[str, Callable[[], Answer]] = {
        "/health": agent.health,
        "/resume": agent.resume,
        "/finalise": agent.finalise,
        "/metrics": agent.metrics,
    }
    return ask[url.path]()


def only_metrics(agent: Agent, method: str, target: str) -> Answer:
    """What the loopback port has: nobody drains a broker by it."""
    if urlsplit(target).path != "/metrics":
        return Answer.of(404, "no such path here; there is /metrics")
    return answer(agent, method, target)


def listen(agent: Agent, path: Path) -> UnixServer:
    """The server of the socket; only its owner may connect."""
    path.unlink(missing_ok=True)
    before = os.umask(0o177)
    try:
        server = UnixServer(str(path), Handler)  # type: ignore[arg-type]
    finally:
        os.umask(before)
    server.inode = path.stat().st_ino
    server.answer = lambda method, target: answer(agent, method, target)
    return server


def listen_for_metrics(agent: Agent, address: tuple[str, int]) -> _Server:
    """The server of the loopback port, running in a thread."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    kind = type("MetricsServer", (_Server,), {"address_family": family})
    server: _Server = kind(address, Handler)
    server.answer = lambda method, target: only_metrics(agent, method, target)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
