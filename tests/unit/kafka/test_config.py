"""The agent's configuration: values, and all mistakes at once with file, line, value and remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kafka_agent.config import ConfigError, properties, read

if TYPE_CHECKING:
    from pathlib import Path

SERVER = "node.id=1\nprocess.roles=broker,controller\nlog.dirs=/d1, /d2\n"


def write(folder: Path, own: str, server: str | None = SERVER) -> Path:
    if server is not None:
        (folder / "server.properties").write_text(server)
    path = folder / "agent.properties"
    path.write_text(f"server.properties={folder}/server.properties\n{own}")
    return path


def mistakes(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(path)
    return str(caught.value).replace(str(path.parent), "").splitlines()


def test_what_must_be_given_is_enough(tmp_path: Path) -> None:
    found = read(write(tmp_path, "bootstrap.servers=kafka-1:9092, 10.0.0.2:9092\n"))
    assert found.bootstrap == ("kafka-1:9092", "10.0.0.2:9092")
    assert (found.node_id, found.votes, found.auto_join) == (1, True, False)
    assert [str(one) for one in found.log_dirs] == ["/d1", "/d2"]
    assert str(found.metadata_dir) == "/d1"
    assert found.metrics == ("127.0.0.1", 9308)
    assert found.stop == ("systemctl", "stop", "--no-block", "kafka.service")
    assert found.check_hostname
    assert found.probe_ms is None


def test_a_broker_without_controller_and_a_metadata_disk_of_its_own(tmp_path: Path) -> None:
    server = "node.id=4\nprocess.roles=broker\nlog.dir=/d1\nmetadata.log.dir=/m\n"
    found = read(write(tmp_path, "bootstrap.servers=a:1\nmetrics.listen=off\n", server))
    assert (found.node_id, found.votes, str(found.metadata_dir)) == (4, False, "/m")
    assert found.metrics is None


def test_names_of_members(tmp_path: Path) -> None:
    found = read(write(tmp_path, "bootstrap.servers=a:1\nmembers=1:kafka-1, 2:kafka-2\n"))
    assert found.names == {1: "kafka-1", 2: "kafka-2"}


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    own = (
        "bootstrap.servers=kafka-1\n"
        "security.protocol=TLS\n"
        "metrics.listen=0.0.0.0:9308\n"
        "probe.timeout.ms=2s\n"
        "drain.timeout.ms=0\n"
        "members=1:a,1:b,x:c\n"
        "ssl.ca.location=/none/ca.pem\n"
        "stop.command='systemctl\n"
        "drain.timeout=3\n"
    )
    told = mistakes(write(tmp_path, own, "node.id=one\n"))
    starts = [
        "/agent.properties:3: security.protocol: 'TLS' is none of PLAINTEXT, SSL, SASL_PLAINTEXT",
        "/server.properties: log.dirs is missing: give the folders of the broker's data",
        "/agent.properties:2: bootstrap.servers: 'kafka-1' is no HOST:PORT",
        "/server.properties:1: node.id: 'one' is no whole number",
        "/agent.properties:7: members: '1:b' names a broker or an instance twice",
        "/agent.properties:7: members: 'x:c' is no NODE_ID:NAME, such as 1:kafka-1",
        '/agent.properties:9: stop.command: "\'systemctl" is no command',
        "/agent.properties:4: metrics.listen: '0.0.0.0:9308' is no loopback address with a port",
        "/agent.properties:8: ssl.ca.location: '/none/ca.pem' is no file; render it at boot, or",
        "/agent.properties:5: probe.timeout.ms: '2s' is no number of milliseconds from 1 to",
        "/agent.properties:6: drain.timeout.ms: '0' is no number of milliseconds from 1 to",
        "/agent.properties:10: drain.timeout is no key; there are bootstrap.servers, broker.log,",
    ]
    assert len(told) == len(starts)
    for line, start in zip(told, starts, strict=True):
        assert line.startswith(start)


def test_sasl_needs_its_user_and_a_password_is_never_told(tmp_path: Path) -> None:
    own = "bootstrap.servers=a:1\nsecurity.protocol=SASL_SSL\nsasl.mechanism=GSSAPI\n"
    told = "\n".join(
        mistakes(write(tmp_path, own + "sasl.password=hunter2\nsasl.pasword=hunter2\n"))
    )
    assert "'GSSAPI' is none of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512" in told
    assert "sasl.username is missing: give it where security.protocol is SASL_PLAINTEXT or" in told
    assert "sasl.pasword is no key" in told
    assert "hunter2" not in told


def test_files_that_are_missing_are_two_mistakes_and_no_more(tmp_path: Path) -> None:
    assert mistakes(tmp_path / "none.properties")[0].startswith(
        "/none.properties: cannot be read: No such file or directory; write it, or name another one"
    )
    told = mistakes(write(tmp_path, "bootstrap.servers=a:1\n", server=None))
    assert told == [
        "/server.properties: cannot be read: No such file or directory; write it, or name another "
        "one"
    ]


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "agent.properties"
    path.write_bytes(b"\xff\xfe")
    assert "it is not UTF-8" in mistakes(path)[0]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a=1", {"a": (1, "1")}),
        ("  a : 1  ", {"a": (1, "1")}),
        ("a 1", {"a": (1, "1")}),
        ("a", {"a": (1, "")}),
        ("# a=1\n! b=2\n\nc=3", {"c": (4, "3")}),
        ("a=1,\\\n   2", {"a": (1, "1,2")}),
        ("a=1\na=2", {"a": (2, "2")}),
        ("a=b=c", {"a": (1, "b=c")}),
        ("a=x\\\\y", {"a": (1, "x\\y")}),
        ("a=1\r\nb=2\r\n", {"a": (1, "1"), "b": (2, "2")}),
        ("a=1\\", {"a": (1, "1")}),
    ],
)
def test_properties_are_read_as_java_reads_them(
    text: str, found: dict[str, tuple[int, str]]
) -> None:
    assert properties(text) == found
