"""A fresh connection tells who answers; a machine that is off does not refuse."""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from kafka_agent.probe import request, silence, silences

if TYPE_CHECKING:
    from collections.abc import Generator

ANSWER = struct.pack(">iih", 6, 77, 0)


@contextmanager
def server(answer: bytes | None) -> Generator[int, None, None]:
    """Answers each request so; None: it never does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                if answer is None:
                    held.append(connection)
                    continue
                with connection:
                    assert connection.recv(len(request())) == request()
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for one in held:
                one.close()


def test_the_request_is_api_versions_of_version_0() -> None:
    assert request() == b"\x00\x00\x00\x15\x00\x12\x00\x00\x00\x00\x00M\x00\x0bkafka-agent"


def test_a_broker_that_answers_is_not_silent() -> None:
    with server(ANSWER) as port:
        assert silence("127.0.0.1", port, 5, None) == ""


def test_one_that_accepts_and_says_nothing_is_silent_within_the_limit() -> None:
    with server(None) as port:
        began = time.monotonic()
        assert (
            silence("127.0.0.1", port, 0.2, None) == f"no answer from 127.0.0.1:{port} within 0.2 s"
        )
        assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "it closed the connection without an answer"),
        (b"\x00\x00", "it closed the connection without an answer"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "what answers there is no Kafka broker"),
    ],
)
def test_whatever_is_no_answer_of_a_broker_is_told(answer: bytes, said: str) -> None:
    with server(answer) as port:
        assert silence("127.0.0.1", port, 5, None) == said


def test_a_port_that_nobody_has_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert silence("127.0.0.1", port, 5, None) == f"127.0.0.1:{port}: Connection refused"


def test_a_name_that_nobody_has_is_told() -> None:
    assert silence("none.invalid", 9092, 5, None).startswith("none.invalid:9092: ")


def test_all_are_asked_at_the_same_time() -> None:
    """None is answered before all four have asked."""
    everyone = threading.Barrier(4)

    def serve(connection: socket.socket) -> None:
        with connection:
            everyone.wait(30)
            connection.sendall(ANSWER)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        found: dict[int, str] = {}
        asking = threading.Thread(
            target=lambda: found.update(
                silences([(one, "127.0.0.1", port) for one in range(4)], 60, None)
            )
        )
        asking.start()
        serving = [threading.Thread(target=serve, args=(listener.accept()[0],)) for _ in range(4)]
        for one in serving:
            one.start()
        for one in [*serving, asking]:
            one.join()
    assert found == {0: "", 1: "", 2: "", 3: ""}


def test_nobody_is_asked_where_there_is_nobody() -> None:
    assert silences([], 1, None) == {}
