"""Brokers with the agent of recipe `kafka` beside them, which the recipe's own scripts ask."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from devstack.kafka.brokers import DEADLINE, free_ports
from devstack.programs import PARENT_DEATH
from devstack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

    from devstack.kafka.brokers import Broker, Cluster, Image

SCRIPTS = "include/startup_scripts/kafka"
OPEN, BLOCKED, UNKNOWN = 0, 1, 2  # exit codes of `gate`


class NotReplaced(RuntimeError):
    """An order of a rollout was refused; the message has the script's words."""


@dataclass(frozen=True)
class Answer:
    """What a script of the recipe has said, and its exit code."""

    code: int
    text: str
    seconds: float = 0.0

    @property
    def lines(self) -> list[str]:
        """Its lines."""
        return self.text.splitlines()

    def about(self, word: str) -> list[str]:
        """The lines that begin with this word and a colon, without them."""
        return [
            line.partition(":")[2].strip() for line in self.lines if line.startswith(f"{word}:")
        ]


class Member:
    """A broker as an instance of a fleet has it: the agent beside it, and the scripts."""

    def __init__(self, project: Path, cluster: Cluster, node: int) -> None:
        self.broker: Broker = cluster.brokers[node]
        self.metrics_port = free_ports(1)[0]
        self._scripts = project / SCRIPTS
        self._folder = self.broker.folder / "agent"
        self._cluster = cluster
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """Of the instance."""
        return f"kafka-{self.broker.node}"

    @property
    def environment(self) -> dict[str, str]:
        """Of the agent and of the scripts."""
        return {
            **os.environ,
            "KAFKA_AGENT_CONFIG": str(self._folder / "agent.properties"),
            "KAFKA_AGENT_SOCKET": str(self._folder / "agent.sock"),
            "KAFKA_AGENT_STATE": str(self._folder),
        }

    def begin(self) -> None:
        """Start the agent, and do not wait for it."""
        self._folder.mkdir(exist_ok=True)
        stop = self._folder / "stop-broker"
        stop.write_text(f'#!/bin/sh\nexec kill -TERM "$(cat {self.broker.pid_file})"\n', "utf-8")
        stop.chmod(0o755)
        names = ",".join(f"{node}:kafka-{node}" for node in self._cluster.brokers)
        settings = {
            "bootstrap.servers": ",".join(self._cluster.bootstrap()),
            "server.properties": str(self.broker.properties),
            "members": names,
            "broker.log": str(self.broker.log),
            "start.command": "false",  # the tests start it
            "stop.command": str(stop),
            "metrics.listen": f"127.0.0.1:{self.metrics_port}",
        }
        text = "".join(f"{key}={value}\n" for key, value in settings.items())
        (self._folder / "agent.properties").write_text(text, encoding="utf-8")
        parent = [sys.executable, "-I", str(PARENT_DEATH), "--parent", str(os.getpid()), "--"]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*parent, sys.executable, "-m", "kafka_agent"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._scripts / "agent",
                env=self.environment,
                start_new_session=True,
            )

    def wait_until_it_answers(self) -> None:
        """Raises RuntimeError with its words when it has ended."""
        log = self._folder / "log"

        def listening() -> bool:
            assert self._process is not None
            text = log.read_text("utf-8", "replace")
            if self._process.poll() is not None:
                raise RuntimeError(f"the agent of {self.name} has ended:\n{text}")
            return "listening on" in text

        wait_until(listening, DEADLINE, f"the agent of {self.name}", every=0.1)

    def end(self) -> None:
        """Stop the agent."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def ask(self, script: str, down: Sequence[str] = ()) -> Answer:
        """Run a script of the recipe, as the guest does for an order of a rollout."""
        began = time.monotonic()
        done = subprocess.run(
            ["bash", str(self._scripts / script)],
            env={**self.environment, "BAKEHOUSE_DOWN": ",".join(down)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        return Answer(done.returncode, done.stdout, time.monotonic() - began)

    def until(self, script: str, down: Sequence[str] = (), every: float = 0.5) -> list[Answer]:
        """Ask until the answer is yes; all answers. Raises NotReplaced after the deadline."""
        answers: list[Answer] = []
        last = time.monotonic() + DEADLINE
        while not answers or answers[-1].code != 0:
            if time.monotonic() > last:
                raise NotReplaced(f"{self.name}, {script}: {answers[-1].text}")
            if answers:
                time.sleep(every)
            answers.append(self.ask(script, down))
        return answers


Members = dict[int, Member]


@contextmanager
def members(project: Path, cluster: Cluster) -> Generator[Members]:
    """The agents of all brokers; they end with the block."""
    found = {node: Member(project, cluster, node) for node in cluster.brokers}
    with ExitStack() as running:
        for member in found.values():
            running.callback(member.end)
            member.begin()
        for member in found.values():
            member.wait_until_it_answers()
        yield found


class ByOrders:
    """Replaces brokers as a rollout does: gate, drain, the next image, health, resume."""

    def __init__(self, members: Members) -> None:
        self.answers: list[tuple[int, str, Answer]] = []  # node, script, answer
        self._members = members

    def __call__(self, cluster: Cluster, node: int, image: Image) -> None:
        """Raises NotReplaced with the words of the script that refused."""
        self._until(node, "gate")
        drained = self._members[node].ask("drain")
        self.answers.append((node, "drain", drained))
        if drained.code != 0:
            raise NotReplaced(f"{self._members[node].name}, drain: {drained.text}")
        cluster.brokers[node].wait_for_end()
        cluster.begin(node, image)
        self._until(node, "health")
        self._until(node, "resume")

    def order(self, cluster: Cluster) -> list[int]:
        """The member last whose gate says that it leads; all gates are asked."""
        asked = {node: self._members[node].ask("gate") for node in cluster.brokers}
        self.answers += [(node, "gate", answer) for node, answer in asked.items()]
        return sorted(asked, key=lambda node: (bool(asked[node].about("leader")), node))

    def said(self, script: str) -> Iterator[tuple[int, Answer]]:
        """The answers of one script, with the node of each."""
        return ((node, answer) for node, asked, answer in self.answers if asked == script)

    def _until(self, node: int, script: str) -> None:
        self.answers += [(node, script, one) for one in self._members[node].until(script)]
