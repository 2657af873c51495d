"""An agent beside a broker that is a locked file, over facts that a test sets."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kafka_agent.agent import Agent
from kafka_agent.config import read
from kafka_agent.gather import GatherError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping
    from pathlib import Path

    from kafka_agent.facts import Cluster, Partition, Replica

HOLD = """
import fcntl, os, sys
files = [os.open(one, os.O_RDWR | os.O_CREAT) for one in sys.argv[1:]]
for one in files:
    fcntl.lockf(one, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def locked(*folders: Path) -> Generator[subprocess.Popen[str], None, None]:
    """A process that holds the locks of these log directories until it is told to end."""
    command = [sys.executable, "-c", HOLD, *(str(one / ".lock") for one in folders)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            if process.stdin is not None:
                process.stdin.close()


@dataclass
class FakeFacts:
    """Answers one cluster after the other, and the last one ever after."""

    answers: list[Cluster | str]  # a text is what goes wrong
    sizes: list[Replica] = field(default_factory=list)
    elected: list[list[str]] = field(default_factory=list)
    finalised: list[dict[str, int]] = field(default_factory=list)
    asked: int = 0

    def cluster(self) -> Cluster:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, str):
            raise GatherError(answer)
        return answer

    def replicas(self, partitions: Iterable[Partition], brokers: Iterable[int]) -> list[Replica]:
        del partitions, brokers
        return self.sizes

    def finalise(self, levels: Mapping[str, int]) -> None:
        self.finalised.append(dict(levels))

    def elect(self, partitions: Iterable[Partition]) -> None:
        self.elected.append([str(one) for one in partitions])


@dataclass
class Bench:
    """The files of one broker, and its agent."""

    folder: Path
    facts: FakeFacts
    ran: list[tuple[str, ...]] = field(default_factory=list)
    on_run: Callable[[tuple[str, ...]], str] = lambda _: ""

    def __post_init__(self) -> None:
        """Writes the files of a broker that has been stopped cleanly."""
        self.data.mkdir(exist_ok=True)
        (self.data / "meta.properties").write_text("node.id=1\ndirectory.id=dir-1\ncluster.id=c\n")
        self.clean.touch()
        server = self.folder / "server.properties"
        server.write_text(
            f"node.id=1\nprocess.roles=broker,controller\nlog.dirs={self.data}\n", "utf-8"
        )
        self.config.write_text(
            f"bootstrap.servers=kafka-1:9092\nserver.properties={server}\nstart.command=start it\n"
            f"stop.command=stop it\nmetrics.listen=off\nbroker.log={self.folder / 'server.log'}\n",
            "utf-8",
        )
        self.agent = Agent(read(self.config), self.facts, self.folder, self._run, pause=0.02)

    @property
    def data(self) -> Path:
        """The log directory."""
        return self.folder / "data"

    @property
    def clean(self) -> Path:
        """The mark of a clean shutdown."""
        return self.data / ".kafka_cleanshutdown"

    @property
    def config(self) -> Path:
        """The configuration of the agent."""
        return self.folder / "agent.properties"

    def end_at_once(self) -> None:
        """What does not hold at the second look will not hold."""
        self.agent.config = replace(self.agent.config, drain_ms=300, resume_ms=300)

    def _run(self, command: tuple[str, ...]) -> str:
        self.ran.append(command)
        return self.on_run(command)
