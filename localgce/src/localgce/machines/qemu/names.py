"""The name server of the machines, at 169.254.169.254 as on Compute Engine.

Guests ask over TCP (`options use-vc`), because slirp forwards only TCP to a program: one connection
each, through socat, to a unix socket. Names below `internal` are answered from the machines of this
server, all others by the resolvers of the host.
Formats: RFC 1035 section 4.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import struct
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from localgce.machines.contract import MachineSpec

_A, _PTR, _ANY = 1, 12, 255
_NO_ERROR, _NAME_ERROR = 0, 3
_SECONDS = 2.0
_SILENT_SECONDS = 10.0
_TTL = 30
# The runner of start-up scripts looks this name up until it has an address, for 100 seconds, before
# it fetches a script from anywhere.
_AWAITED = {"storage.googleapis.com"}
_NOWHERE = bytes(4)  # 0.0.0.0: a connection to it is refused at once


class Names:
    """The names of one project's machines; `NAME.ZONE.c.PROJECT.internal`, zonal and global."""

    def __init__(self) -> None:
        """Know only the metadata server."""
        self._addresses = {"metadata.google.internal": "169.254.169.254"}
        self._names: dict[str, str] = {}

    def add(self, spec: MachineSpec) -> None:
        """Add a machine, its new address, or its new name."""
        pointer = ipaddress.IPv4Address(spec.nic.internal_ip).reverse_pointer
        if before := self._names.get(pointer):
            name, zone, rest = before.split(".", 2)
            self._addresses.pop(f"{name}.{zone}.{rest}", None)
            self._addresses.pop(f"{name}.{rest}", None)
        zonal = f"{spec.name}.{spec.zone}.c.{spec.project}.internal"
        self._addresses[zonal] = spec.nic.internal_ip
        self._addresses[f"{spec.name}.c.{spec.project}.internal"] = spec.nic.internal_ip
        self._names[pointer] = zonal

    def remove(self, spec: MachineSpec) -> None:
        """Remove a machine."""
        self._addresses.pop(f"{spec.name}.{spec.zone}.c.{spec.project}.internal", None)
        self._addresses.pop(f"{spec.name}.c.{spec.project}.internal", None)
        self._names.pop(ipaddress.IPv4Address(spec.nic.internal_ip).reverse_pointer, None)

    def answer(self, query: bytes) -> bytes | None:
        """The reply to a query about names below `internal`; None for other names."""
        name, kind, end = _question(query)
        if name.endswith(".internal"):
            found = self._addresses.get(name)
            data = ipaddress.IPv4Address(found).packed if found else b""
            return _reply(query, end, _A, data if kind in {_A, _ANY} else b"", known=bool(found))
        if name.endswith(".10.in-addr.arpa"):
            pointed = self._names.get(name)
            data = _encode(pointed) if pointed and kind in {_PTR, _ANY} else b""
            return _reply(query, end, _PTR, data, known=bool(pointed))
        return None


class NameServer:
    """Answers on a unix socket until closed."""

    def __init__(self, names: Names, resolv_conf: Path = Path("/etc/resolv.conf")) -> None:
        """Forward other names to the resolvers of `resolv_conf`."""
        self._names = names
        self._resolv_conf = resolv_conf
        self._silent_until = 0.0
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def open(self, socket: Path) -> None:
        """Listen; replaces the socket of an earlier server."""
        _delete(socket)
        self._server = await asyncio.start_unix_server(self._serve, socket)

    async def close(self) -> None:
        """Stop listening, and close all connections."""
        if self._server:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None  # asyncio runs each connection in a task
        self._connections.add(connection)
        try:
            await self._answer(reader, writer)
        finally:
            self._connections.discard(connection)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError, TimeoutError):
            while True:
                async with asyncio.timeout(60):
                    query = await _receive(reader)
                reply = self._names.answer(query) or await self._forward(query)
                writer.write(_framed(_awaited(query, reply)))
                await writer.drain()

    async def _forward(self, query: bytes) -> bytes:
        """The first answer of a resolver of this host; no such name when none answers.

        On a host without internet a guest's first start would wait minutes for names that its agent
        looks up. Once no resolver has answered, all names are unknown for a while, at once.
        """
        loop = asyncio.get_running_loop()
        if loop.time() < self._silent_until:
            return _unknown(query)
        for server in _resolvers(self._resolv_conf):
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                async with asyncio.timeout(_SECONDS):
                    reply = await _ask(server, query)
                    truncated = reply[2] & 0x02
                    return await _ask_by_stream(server, query) if truncated else reply
        self._silent_until = loop.time() + _SILENT_SECONDS
        return _unknown(query)


def _awaited(query: bytes, reply: bytes) -> bytes:
    """The reply, or an address that leads nowhere where the guest would wait for one in vain."""
    name, kind, end = _question(query)
    code, answers = reply[3] & 0x0F, struct.unpack_from(">H", reply, 6)[0]
    if name not in _AWAITED or (code == _NO_ERROR and (answers or kind != _A)):
        return reply
    return _reply(query, end, _A, _NOWHERE if kind in {_A, _ANY} else b"", known=True)


def _unknown(query: bytes) -> bytes:
    """The answer that there is no such name: a resolver then asks no other server."""
    return query[:2] + struct.pack(">H", 0x8180 | _NAME_ERROR) + query[4:]


def _delete(socket: Path) -> None:
    socket.unlink(missing_ok=True)


def _resolvers(resolv_conf: Path) -> list[str]:
    with contextlib.suppress(OSError):
        lines = [line.split() for line in resolv_conf.read_text().splitlines()]
        return [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]
    return []


class _OneReply(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - asyncio's
        if len(data) >= 12 and not self.reply.done():
            self.reply.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.reply.done():
            self.reply.set_exception(exc)


async def _ask(server: str, query: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    transport, asked = await loop.create_datagram_endpoint(_OneReply, remote_addr=(server, 53))
    try:
        transport.sendto(query)
        return await asked.reply
    finally:
        transport.close()


async def _ask_by_stream(server: str, query: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(server, 53)
    try:
        writer.write(_framed(query))
        return await _receive(reader)
    finally:
        writer.close()


async def _receive(reader: asyncio.StreamReader) -> bytes:
    (length,) = struct.unpack(">H", await reader.readexactly(2))
    return await reader.readexactly(length)


def _framed(message: bytes) -> bytes:
    return struct.pack(">H", len(message)) + message


def _question(query: bytes) -> tuple[str, int, int]:
    """(name in lower case, type, end of the question); raises ValueError for an invalid query."""
    labels, at = [], 12
    try:
        while length := query[at]:
            if length > 63:
                raise ValueError("a compressed name in a question")
            labels.append(query[at + 1 : at + 1 + length].decode("ascii").lower())
            at += 1 + length
        (kind,) = struct.unpack_from(">H", query, at + 1)
    except (IndexError, struct.error) as error:
        raise ValueError("not a query") from error
    return ".".join(labels), kind, at + 5


def _encode(name: str) -> bytes:
    labels = [label.encode("ascii") for label in name.split(".")]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _reply(query: bytes, end: int, kind: int, data: bytes, *, known: bool) -> bytes:
    """An authoritative reply: one record, no record of this type, or no such name."""
    code = _NO_ERROR if known else _NAME_ERROR
    recursion = struct.unpack_from(">H", query, 2)[0] & 0x0100
    flags = 0x8480 | recursion | code
    head = query[:2] + struct.pack(">HHHHH", flags, 1, 1 if data else 0, 0, 0)
    record = struct.pack(">HHHIH", 0xC00C, kind, 1, _TTL, len(data)) + data if data else b""
    return head + query[12:end] + record
