"""The configuration of the agent, and what it takes from the broker's server.properties."""

from __future__ import annotations

import ipaddress
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


class ConfigError(Exception):
    """All mistakes, one a line."""


@dataclass(frozen=True)
class Config:
    """What the agent is told."""

    bootstrap: tuple[str, ...]
    node_id: int
    votes: bool
    auto_join: bool
    log_dirs: tuple[Path, ...]
    metadata_dir: Path
    names: Mapping[int, str]
    broker_log: Path | None
    start: tuple[str, ...]
    stop: tuple[str, ...]
    metrics: tuple[str, int] | None
    protocol: str
    ca: str | None
    certificate: str | None
    key: str | None
    key_password: str | None
    check_hostname: bool
    mechanism: str | None
    username: str | None
    password: str | None
    probe_ms: int | None  # None: of the cluster's own timeouts
    request_ms: int
    gather_ms: int
    drain_ms: int
    resume_ms: int

    @property
    def tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.protocol in {"SSL", "SASL_SSL"}


def read(path: Path) -> Config:
    """The configuration; raises `ConfigError` with all mistakes of both files."""
    mistakes: list[str] = []
    own = _Reader(path, mistakes, known=True)
    server_path = Path(own.text("server.properties", "/etc/kafka/server.properties"))
    config = _config(own, _Reader(server_path, mistakes, known=False))
    own.refuse_unknown()
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return config


def _config(own: _Reader, server: _Reader) -> Config:
    protocol = own.choice("security.protocol", PROTOCOLS, "PLAINTEXT")
    sasl = protocol.startswith("SASL")
    dirs = server.texts("log.dirs") or server.texts("log.dir")
    if server.found and not dirs:
        server.missing("log.dirs", "the folders of the broker's data")
    metadata = server.text("metadata.log.dir", dirs[0] if dirs else "")
    bootstrap = own.texts("bootstrap.servers")
    if own.found and not bootstrap:
        own.missing("bootstrap.servers", "all brokers, such as kafka-1:9092,kafka-2:9092")
    for one in bootstrap:
        if not one.rpartition(":")[0] or not one.rpartition(":")[2].isdigit():
            own.mistake("bootstrap.servers", one, "is no HOST:PORT")
    return Config(
        bootstrap=bootstrap,
        node_id=server.number("node.id"),
        votes="controller" in server.texts("process.roles"),
        auto_join=server.text("controller.quorum.auto.join.enable").strip().lower() == "true",
        log_dirs=tuple(Path(one) for one in dirs),
        metadata_dir=Path(metadata),
        names=own.names("members"),
        broker_log=Path(own.text("broker.log")) if own.text("broker.log") else None,
        start=own.command("start.command", "systemctl start kafka.service"),
        stop=own.command("stop.command", "systemctl stop --no-block kafka.service"),
        metrics=own.loopback("metrics.listen", "127.0.0.1:9308"),
        protocol=protocol,
        ca=own.file("ssl.ca.location"),
        certificate=own.file("ssl.certificate.location"),
        key=own.file("ssl.key.location"),
        key_password=own.text("ssl.key.password") or None,
        check_hostname=own.choice("ssl.endpoint.identification.algorithm", ("https", ""), "https")
        == "https",
        mechanism=own.choice("sasl.mechanism", MECHANISMS, "", needed=sasl) or None,
        username=own.text("sasl.username", needed=sasl) or None,
        password=own.text("sasl.password", needed=sasl) or None,
        probe_ms=own.milliseconds("probe.timeout.ms", None),
        request_ms=own.milliseconds("request.timeout.ms", 10_000) or 10_000,
        gather_ms=own.milliseconds("gather.timeout.ms", 40_000) or 40_000,
        drain_ms=own.milliseconds("drain.timeout.ms", 240_000) or 240_000,
        resume_ms=own.milliseconds("resume.timeout.ms", 60_000) or 60_000,
    )


class _Reader:
    """One file in the form of Kafka's, whose mistakes are told with their line."""

    def __init__(self, path: Path, mistakes: list[str], *, known: bool) -> None:
        self.path, self.mistakes, self.known = path, mistakes, known
        self.asked: set[str] = set()
        self.values: dict[str, tuple[int, str]] = {}
        self.found = True
        try:
            self.values = properties(path.read_text("utf-8"))
        except (OSError, UnicodeError) as error:
            self.found = False
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            mistakes.append(f"{path}: cannot be read: {why}; write it, or name another one")

    def mistake(self, key: str, value: str, why: str) -> None:
        """A value that cannot be."""
        line = self.values[key][0] if key in self.values else 0
        shown = "***" if "password" in key else repr(value)
        self.mistakes.append(f"{self.path}:{line}: {key}: {shown} {why}")

    def missing(self, key: str, what: str) -> None:
        """A key that must be there."""
        self.mistakes.append(f"{self.path}: {key} is missing: give {what}")

    def refuse_unknown(self) -> None:
        """Keys that nobody has asked for are mistakes: a typo changes nothing else."""
        for key, (line, _) in self.values.items():
            if key not in self.asked:
                keys = ", ".join(sorted(self.asked))
                self.mistakes.append(f"{self.path}:{line}: {key} is no key; there are {keys}")

    def text(self, key: str, default: str = "", *, needed: bool = False) -> str:
        """A value as it stands."""
        self.asked.add(key)
        value = self.values.get(key, (0, default))[1]
        if needed and not value and self.found:
            self.missing(key, "it where security.protocol is SASL_PLAINTEXT or SASL_SSL")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list with commas."""
        return tuple(one.strip() for one in self.text(key).split(",") if one.strip())

    def choice(
        self, key: str, choices: tuple[str, ...], default: str, *, needed: bool = False
    ) -> str:
        """One of a few words."""
        value = self.text(key, default, needed=needed)
        if key in self.values and value not in choices:
            self.mistake(key, value, f"is none of {', '.join(one or 'nothing' for one in choices)}")
        return value

    def number(self, key: str) -> int:
        """A whole number that must be there."""
        value = self.text(key)
        if not value:
            if self.found:
                self.missing(key, "the broker's number")
            return -1
        if not (value.isascii() and value.isdigit()):
            self.mistake(key, value, "is no whole number")
            return -1
        return int(value)

    def milliseconds(self, key: str, default: int | None) -> int | None:
        """A time above nothing."""
        value = self.text(key)
        if not value:
            return default
        if not (value.isascii() and value.isdigit()) or not 0 < int(value) <= 7_200_000:
            self.mistake(key, value, "is no number of milliseconds from 1 to 7200000")
            return default
        return int(value)

    def file(self, key: str) -> str | None:
        """A file that can be read."""
        value = self.text(key)
        if value and not Path(value).is_file():
            self.mistake(key, value, "is no file; render it at boot, or take the key away")
        return value or None

    def command(self, key: str, default: str) -> tuple[str, ...]:
        """A program with its arguments."""
        value = self.text(key, default)
        try:
            words = tuple(shlex.split(value))
        except ValueError as error:
            self.mistake(key, value, f"is no command: {error}")
            return ()
        if not words:
            self.mistake(key, value, "is no command")
        return words

    def names(self, key: str) -> dict[int, str]:
        """Pairs `1:kafka-1`."""
        found: dict[int, str] = {}
        for one in self.texts(key):
            number, _, name = one.partition(":")
            if not (number.isascii() and number.isdigit()) or not name or " " in name:
                self.mistake(key, one, "is no NODE_ID:NAME, such as 1:kafka-1")
            elif int(number) in found or name in found.values():
                self.mistake(key, one, "names a broker or an instance twice")
            else:
                found[int(number)] = name
        return found

    def loopback(self, key: str, default: str) -> tuple[str, int] | None:
        """An address of this machine alone."""
        value = self.text(key, default)
        if value == "off":
            return None
        host, _, port = value.rpartition(":")
        host = host.strip("[]")
        good = port.isascii() and port.isdigit() and int(port) < 65536
        try:
            good = good and ipaddress.ip_address(host).is_loopback
        except ValueError:
            good = False
        if not good:
            self.mistake(key, value, "is no loopback address with a port, such as 127.0.0.1:9308")
            return None
        return host, int(port)


def properties(content: str) -> dict[str, tuple[int, str]]:
    """Keys with line and value, by those rules of java.util.Properties that are used."""
    found: dict[str, tuple[int, str]] = {}
    whole, start = "", 0
    for number, line in enumerate(content.splitlines(), 1):
        stripped = line.lstrip()
        if not whole:
            if not stripped or stripped[0] in "#!":
                continue
            start = number
        if _continues(stripped):
            whole += stripped[:-1]
            continue
        key, value = _split(whole + stripped)
        found[key] = (start, value)
        whole = ""
    if whole:
        key, value = _split(whole)
        found[key] = (start, value)
    return found


def _continues(line: str) -> bool:
    """An odd number of backslashes at its end."""
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _split(line: str) -> tuple[str, str]:
    place = next((at for at, one in enumerate(line) if one in "=: \t"), len(line))
    key, rest = line[:place], line[place:].lstrip()
    if rest[:1] in {"=", ":"}:
        rest = rest[1:]
    return key, rest.strip().replace("\\\\", "\\")
