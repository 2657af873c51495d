"""The agent on a real unix socket, asked by the scripts of the recipe."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.kafka_agents import Bench, FakeFacts, locked
from tests.support.kafka_facts import cluster, partition, quorum
from tests.support.paths import PROJECT

from kafka_agent.serve import listen, listen_for_metrics

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from kafka_agent.agent import Answer

SCRIPTS = PROJECT / "include/startup_scripts/kafka"
WELL = cluster(partition("orders-7", (1, 2, 3)))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """An agent that listens on `agent.sock`; its broker runs."""
    found = Bench(tmp_path, FakeFacts([WELL]))
    with locked(found.data), serving(found):
        yield found


@contextmanager
def serving(bench: Bench) -> Generator[None, None, None]:
    server = listen(bench.agent, bench.folder / "agent.sock")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def script(bench: Bench, name: str, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [SCRIPTS / name],
        env={
            "PATH": os.environ["PATH"],
            "KAFKA_AGENT_SOCKET": str(bench.folder / "agent.sock"),
            **environment,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def ask(bench: Bench, request: bytes) -> bytes:
    """What comes back to these bytes."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(bench.folder / "agent.sock"))
        connection.sendall(request)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


def test_the_gate_has_an_exit_code_for_yes_no_and_unknown(bench: Bench) -> None:
    assert script(bench, "gate") == (0, "open: broker 1 may stop\nbatch kafka-1\n")
    bench.facts.answers = [cluster(partition("orders-7", (1, 2, 3), (1, 3)))]
    code, said = script(bench, "gate")
    assert (code, said.partition(" without")[0]) == (
        1,
        "blocked: orders-7 would have 1 of 2 in-sync replicas",
    )
    bench.facts.answers = ["no broker answers"]
    assert script(bench, "gate") == (2, "failed: no broker answers\n")


def test_the_gate_gets_the_members_that_are_down_on_purpose(bench: Bench) -> None:
    bench.facts.answers = [cluster(brokers=6, silent={4}, of=quorum((101, 102, 103), leader=101))]
    assert script(bench, "gate")[0] == 1
    code, said = script(bench, "gate", BAKEHOUSE_DOWN="kafka-4")
    assert (code, said) == (0, "open: broker 1 may stop\nbatch kafka-1 kafka-4\n")
    code, said = script(bench, "gate", BAKEHOUSE_DOWN="kafka-4, kafka 9&x=1")
    assert code == 1
    assert said.startswith("blocked: no broker is called kafka, 9&x=1: give the names of the")


def test_the_drain_of_the_second_of_a_batch_is_not_refused_for_the_first(bench: Bench) -> None:
    both = cluster(brokers=6, silent={4}, of=quorum((101, 102, 103), leader=101))
    bench.facts.answers = [both]
    code, said = script(bench, "drain")
    assert code == 1
    assert said.startswith("blocked: broker 4")
    assert bench.ran == []
    bench.end_at_once()
    script(bench, "drain", BAKEHOUSE_DOWN="kafka-4")
    assert bench.ran == [("stop", "it")]


def test_the_other_scripts_succeed_or_fail(bench: Bench) -> None:
    assert script(bench, "health") == (
        0,
        "healthy: broker 1 is unfenced, 1 replicas in sync, leads 1\n",
    )
    assert script(bench, "resume") == (
        0,
        "resumed: broker 1 leads 1 partitions\nleaders elected: 0\n",
    )
    bench.facts.answers = [cluster(fenced={1})]
    assert script(bench, "health") == (1, "unhealthy: broker 1 (kafka-1) is fenced\n")
    assert script(bench, "resume") == (1, "unhealthy: broker 1 (kafka-1) is fenced\n")
    bench.facts.answers = ["no broker answers"]
    assert script(bench, "drain") == (1, "failed: no broker answers; nothing was stopped\n")


@pytest.mark.parametrize(
    ("name", "code"), [("gate", 2), ("drain", 1), ("health", 1), ("resume", 1), ("finalise", 1)]
)
def test_without_agent_no_script_says_yes(tmp_path: Path, name: str, code: int) -> None:
    bench = Bench(tmp_path, FakeFacts([WELL]))
    found, said = script(bench, name)
    assert (found, said.count("\n")) == (code, 1)
    assert f"the agent of Kafka does not answer at {tmp_path}/agent.sock (systemctl status" in said


@pytest.mark.parametrize(
    ("request_line", "status", "said"),
    [
        (
            "GET /",
            404,
            "no such path /; there are /gate, /drain, /health, /resume, /",
        ),
        ("GET /gates", 404, "no such path /gates"),
        ("GET /drain", 405, "/drain is asked with POST, not with GET"),
        ("POST /gate", 405, "/gate is asked with GET, not with POST"),
        ("DELETE /gate", 405, "/gate is asked with GET, not with DELETE"),
        ("GET /gate?dwon=kafka-2", 400, "no such parameter dwon; there is `down`"),
        ("GET /health?x=1", 400, "/health takes no parameters"),
        ("GET /gate?down=", 200, "open: broker 1 may stop"),
    ],
)
def test_other_requests_are_refused_in_one_line(
    bench: Bench, request_line: str, status: int, said: str
) -> None:
    head, _, body = ask(
        bench, f"{request_line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    ).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert body.decode().startswith(said)
    assert bench.ran == []


def test_what_goes_wrong_inside_is_one_line_and_the_agent_lives(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks() -> Answer:
        raise ValueError("a\nb")

    with monkeypatch.context() as patched:
        patched.setattr(bench.agent, "health", breaks)
        assert script(bench, "health") == (1, "failed: ValueError: a b\n")
    assert script(bench, "health")[0] == 0


def test_a_question_is_answered_while_a_drain_waits(bench: Bench) -> None:
    begun, let_go = threading.Event(), threading.Event()

    def stop(_: tuple[str, ...]) -> str:
        begun.set()
        assert let_go.wait(60)
        return "was not stopped"

    bench.on_run = stop
    drain = threading.Thread(target=bench.agent.drain)
    drain.start()
    assert begun.wait(60)
    assert script(bench, "gate")[0] == 0
    let_go.set()
    drain.join()


def test_only_the_owner_may_connect_and_an_old_socket_is_replaced(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeFacts([WELL]))
    path = tmp_path / "agent.sock"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
    with serving(bench):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert script(bench, "gate")[0] == 0


def test_a_process_that_ends_leaves_the_socket_of_the_one_after_it(tmp_path: Path) -> None:
    bench, path = Bench(tmp_path, FakeFacts([WELL])), tmp_path / "agent.sock"
    with listen(bench.agent, path) as old, listen(bench.agent, path) as new:
        old.take_away(path)
        assert path.exists()
        new.take_away(path)
        assert not path.exists()
        new.take_away(path)


def test_prometheus_reads_the_metrics_and_the_port_has_nothing_else(bench: Bench) -> None:
    server = listen_for_metrics(bench.agent, ("127.0.0.1", 0))
    port = server.server_address[1]
    try:
        ok, body = over_tcp(port, "GET /metrics")
        families = {one.name: one for one in text_string_to_metric_families(body)}
        assert ok == 200
        assert families["kafka_agent_gate_open"].samples[0].value == 1
        assert all(one.documentation for one in families.values())
        for other in ("POST /drain", "GET /gate", "POST /resume"):
            status, said = over_tcp(port, other)
            assert (status, said) == (404, "no such path here; there is /metrics\n")
    finally:
        server.shutdown()
        server.server_close()
    assert bench.ran == []


def over_tcp(port: int, request: str) -> tuple[int, str]:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        with connection.makefile("rb") as file:
            head, _, body = file.read().decode().partition("\r\n\r\n")
    return int(head.split()[1]), body


@contextmanager
def started(bench: Bench) -> Generator[subprocess.Popen[str]]:
    """The process of the agent, which ends with the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "kafka_agent"],
        cwd=SCRIPTS / "agent",
        env={
            "PATH": os.environ["PATH"],
            "KAFKA_AGENT_CONFIG": str(bench.config),
            "KAFKA_AGENT_SOCKET": str(bench.folder / "agent.sock"),
        },
        stdout=-1,
        stderr=-1,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_process_serves_without_a_broker_and_ends_with_sigterm(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeFacts([WELL]))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    bench.config.write_text(
        bench.config.read_text().replace("kafka-1:9092", f"127.0.0.1:{port}")
        + "request.timeout.ms=200\n"
    )
    with started(bench) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"listening on {tmp_path}/agent.sock\n"
        code, said = script(bench, "gate")
        assert code == 0
        assert f"warning: no broker answers: 127.0.0.1:{port}: Connection refused" in said
        with locked(bench.data):
            code, said = script(bench, "gate")
            assert code == 2
            assert said == f"failed: no broker answers: 127.0.0.1:{port}: Connection refused\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    assert not (tmp_path / "agent.sock").exists()


def test_a_mistake_in_the_configuration_ends_it_with_one_line_for_each(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeFacts([WELL]))
    bench.config.write_text("server.propertie=x\n")
    with started(bench) as process:
        _, said = process.communicate()
    assert process.returncode == 2
    lines = said.splitlines()
    assert lines[-1].startswith(f"{bench.config}:1: server.propertie is no key; there are ")
    assert all(
        one.startswith(("/etc/kafka/server.properties: ", f"{bench.config}:")) for one in lines
    )
