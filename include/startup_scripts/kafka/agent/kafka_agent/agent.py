"""What the agent does: it asks, decides, stops and starts the broker, and says what it has seen."""

from __future__ import annotations

import logging
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from kafka_agent import broker_log, lines, local
from kafka_agent.facts import Local, to_finalise
from kafka_agent.gate import NOBODY, decide
from kafka_agent.gather import GatherError
from kafka_agent.health import assess, directory_remedy, of_process, own_out_of_sync
from kafka_agent.leadership import handed_over, led_by, led_in_vain, to_elect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from kafka_agent.config import Config
    from kafka_agent.facts import Cluster, Partition, Replica

log = logging.getLogger(__name__)

OK, BAD_REQUEST, BLOCKED, UNAVAILABLE = 200, 400, 409, 503
COMMAND_SECONDS = 30
METRICS_AGE = 10.0  # seconds
# What the mark of a drain says besides.
ALONE = "alone"  # there is no other broker
STOPPED = "stopped"  # its process has ended


class Facts(Protocol):
    """Where the facts of the cluster come from."""

    def cluster(self) -> Cluster:
        """The cluster as it is now."""

    def replicas(self, partitions: Iterable[Partition], brokers: Iterable[int]) -> list[Replica]:
        """The bytes of replicas."""

    def finalise(self, levels: Mapping[str, int]) -> None:
        """Finalises features at these levels."""

    def elect(self, partitions: Iterable[Partition]) -> None:
        """Elects preferred leaders."""


@dataclass(frozen=True)
class Answer:
    """Status and body of an answer."""

    status: int
    body: str

    @classmethod
    def of(cls, status: int, *told: str) -> Answer:
        """One fact a line."""
        return cls(status, lines.text(told))


class Agent:
    """Beside one broker. Its methods may be called by several threads."""

    def __init__(
        self,
        config: Config,
        facts: Facts,
        state: Path,
        run: Callable[[tuple[str, ...]], str] | None = None,
        pause: float = 0.5,
    ) -> None:
        self.config, self.facts = config, facts
        self.mark = state / "drained"
        self._run = run or run_command
        self._pause = pause  # between two looks
        self._orders = threading.Lock()
        self._seen_running: float | None = None
        self._metrics: tuple[float, str] | None = None

    def local(self) -> Local:
        """The broker's process and disks."""
        config = self.config
        running = local.runs(config.log_dirs)
        now = time.monotonic()
        if not running:
            self._seen_running = None
        elif self._seen_running is None:
            self._seen_running = now
        directory, of_cluster = local.identity(config.metadata_dir)
        start = broker_log.read(config.broker_log) if running and config.broker_log else None
        return Local(
            node_id=config.node_id,
            running=running,
            drained=self._is_drained(running),
            votes=config.votes,
            auto_join=config.auto_join,
            directory_id=directory,
            cluster_id=of_cluster,
            unclean_dirs=local.unclean(config.log_dirs),
            on_disk=local.partitions(config.log_dirs),
            recovery=start.recovery if start else None,
            duplicate_registration=bool(start and start.duplicate_registration),
            running_seconds=now - self._seen_running if self._seen_running is not None else 0.0,
        )

    def _is_drained(self, running: bool) -> bool:
        """Whether it stops, or has stopped, by a drain; one that was started again is not."""
        words = self._words()
        if running and STOPPED in words:
            self.mark.unlink(missing_ok=True)
            return False
        if words and not running and STOPPED not in words:
            self.mark.write_text(" ".join((*words, STOPPED)), "utf-8")
        return bool(words)

    def _words(self) -> list[str]:
        """What the mark of a drain says."""
        try:
            return self.mark.read_text("utf-8").split()
        except OSError:
            return []

    def gate(self, down: Iterable[str] = ()) -> Answer:
        """May this broker stop now?"""
        try:
            cluster, found = self._look()
        except GatherError as error:
            return self._blind(error)
        return self._decided(cluster, found, down)

    def _decided(self, cluster: Cluster, found: Local, down: Iterable[str]) -> Answer:
        """May it stop, with these members down on purpose?"""
        deliberate, others = self._members(cluster, down)
        if others and not self._names_are_instances(cluster):
            return Answer.of(
                BLOCKED,
                f"blocked: no broker is called {', '.join(others)}: give the names of the "
                "instances by the key `members` of the agent's configuration (metadata "
                "kafka-agent-members)",
            )
        decision = decide(cluster, found, deliberate, tuple(others))
        return Answer(OK if decision.open else BLOCKED, lines.of_gate(decision))

    def _names_are_instances(self, cluster: Cluster) -> bool:
        """Whether a member that no broker is called by has no broker."""
        own = cluster.broker(self.config.node_id)
        return all(one.node_id in self.config.names for one in cluster.brokers) or (
            own is not None and own.name == socket.gethostname().partition(".")[0]
        )

    def _look(self) -> tuple[Cluster, Local]:
        """The cluster, and this broker. A topic that comes or goes meanwhile is not on its disk."""
        before = local.partitions(self.config.log_dirs)
        cluster = self.facts.cluster()
        found = self.local()
        return cluster, replace(found, on_disk=found.on_disk & before)

    def _blind(self, error: GatherError) -> Answer:
        """Without facts nobody may stop, except one that does not run anyway."""
        found = self.local()
        if found.running or (found.drained and not self._was_alone()):
            return Answer.of(UNAVAILABLE, f"failed: {error}")
        return Answer.of(
            OK,
            f"open: broker {found.node_id} does not run, so that its stop takes nothing away",
            f"warning: {error}",
        )

    def _was_alone(self) -> bool:
        """Whether the broker was the only one when it was drained."""
        return ALONE in self._words()

    def _members(self, cluster: Cluster, names: Iterable[str]) -> tuple[frozenset[int], list[str]]:
        """Ids of members, by name or number."""
        ids = {name: node for node, name in self.config.names.items()}
        ids |= {one.name: one.node_id for one in cluster.brokers}
        ids |= {str(one.node_id): one.node_id for one in cluster.brokers}
        asked = list(names)
        found = frozenset(ids[one] for one in asked if one in ids) - {self.config.node_id}
        return found, [one for one in asked if one not in ids]

    def health(self) -> Answer:
        """Is this broker healthy?"""
        found = self.local()
        early = of_process(None, found)
        if early is not None and (not found.running or early.busy):
            cluster = None if not found.running else self._cluster_or_none()
            early = of_process(cluster, found) if cluster is not None else early
            if early is not None:
                return Answer(UNAVAILABLE, lines.of_health(early))
        try:
            cluster = self.facts.cluster()
            late = own_out_of_sync(cluster, found.node_id)
            leaders = {one.leader_id for one in cluster.holding(found.node_id)} - {-1}
            sizes = (
                self.facts.replicas(cluster.holding(found.node_id), {*leaders, found.node_id})
                if late
                else []
            )
            health = assess(cluster, found, sizes)
        except GatherError as error:
            health = assess(None, found, trouble=str(error))
        return Answer(OK if health.healthy else UNAVAILABLE, lines.of_health(health))

    def _cluster_or_none(self) -> Cluster | None:
        try:
            return self.facts.cluster()
        except GatherError:
            return None

    def drain(self, down: Iterable[str] = ()) -> Answer:
        """Hands over, stops the broker, and sees that both are done.

        `down`: as of the gate, which is asked once more.
        """
        with self._orders:
            end = time.monotonic() + self.config.drain_ms / 1000
            found = self.local()
            if found.drained and not found.running:
                return self._verify_drain((), end, "before")
            try:
                cluster, found = self._look()
            except GatherError as error:
                if found.running:
                    return Answer.of(UNAVAILABLE, f"failed: {error}; nothing was stopped")
                return Answer.of(OK, "drained: Kafka did not run", f"warning: {error}")
            if not found.running:
                return Answer.of(OK, "drained: Kafka did not run")
            decided = self._decided(cluster, found, down)
            if decided.status != OK:
                return decided
            return self._stop(cluster, end)

    def _stop(self, cluster: Cluster, end: float) -> Answer:
        began = time.monotonic()
        led = led_by(cluster, self.config.node_id)
        self.mark.write_text(ALONE if len(cluster.brokers) <= 1 else "drained", "utf-8")
        trouble = self._run(self.config.stop)
        if trouble:
            self.mark.unlink(missing_ok=True)
            return Answer.of(UNAVAILABLE, f"failed: the broker could not be stopped: {trouble}")
        if not self._until(end, lambda: not self.local().running):
            limit = self.config.drain_ms / 1000
            return Answer.of(
                UNAVAILABLE,
                f"failed: the controlled shutdown has not ended within {limit:g} s"
                f"{self._still_led()}; it goes on, and nothing was killed",
            )
        return self._verify_drain(led, end, f"in {time.monotonic() - began:.1f} s")

    def _still_led(self) -> str:
        cluster = self._cluster_or_none()
        if cluster is None:
            return ""
        kept = led_by(cluster, self.config.node_id)
        names = ", ".join(str(one) for one in kept[:5])
        return (
            f", it leads {len(kept)} partitions ({names})"
            if kept
            else ", it leads nothing any more"
        )

    def _verify_drain(self, led: tuple[Partition, ...], end: float, how: str) -> Answer:
        """The clean mark is on each disk, and the others lead what it led."""
        unclean = self.local().unclean_dirs
        if unclean:
            return Answer.of(
                UNAVAILABLE,
                f"failed: no clean shutdown mark in {', '.join(unclean)}: Kafka was killed, and "
                "recovers its logs at the next start",
            )
        trouble = ""
        while True:
            try:
                cluster = self.facts.cluster()
                result = handed_over(led, cluster, self.config.node_id)
                if result.complete:
                    told = [f"drained: broker {self.config.node_id} has stopped {how}"]
                    told.append(f"clean shutdown: {', '.join(map(str, self.config.log_dirs))}")
                    told.append(f"leaders moved: {len(result.moved)}")
                    told += [
                        f"warning: {one} is offline, it has no other replica"
                        for one in result.offline
                    ]
                    return Answer.of(OK, *told)
                rest = [*result.kept, *result.leaderless]
                trouble = f"{len(rest)} partitions have no other leader yet, such as {rest[0]}"
            except GatherError as error:
                if self._was_alone():
                    return Answer.of(
                        OK,
                        f"drained: broker {self.config.node_id} has stopped {how}",
                        "warning: there is no other broker to ask who leads",
                    )
                trouble = str(error)
            if time.monotonic() + self._pause >= end:
                return Answer.of(UNAVAILABLE, f"failed: the broker has stopped, and {trouble}")
            time.sleep(self._pause)

    def resume(self) -> Answer:
        """Starts the broker again if it was drained, and gives it its leaders back."""
        with self._orders:
            end = time.monotonic() + self.config.resume_ms / 1000
            found = self.local()
            if found.drained:
                return self._start(end)
            try:
                cluster = self.facts.cluster()
            except GatherError as error:
                return Answer.of(UNAVAILABLE, f"failed: {error}")
            remedy = directory_remedy(cluster, found)
            if remedy:
                return Answer.of(UNAVAILABLE, f"refused: {remedy}")
            health = assess(cluster, found)
            if not health.healthy:
                return Answer(UNAVAILABLE, lines.of_health(health))
            return self._elect(cluster, end)

    def _start(self, end: float) -> Answer:
        """Takes a drain back. A shutdown that has begun cannot be; what follows is a start."""
        if not self._until(end, lambda: not self.local().running):
            return Answer.of(UNAVAILABLE, "busy: the controlled shutdown of the drain goes on")
        trouble = self._run(self.config.start)
        if trouble:
            return Answer.of(UNAVAILABLE, f"failed: the broker could not be started: {trouble}")
        self.mark.unlink(missing_ok=True)
        return Answer.of(UNAVAILABLE, "busy: the broker is being started again")

    def _elect(self, cluster: Cluster, end: float) -> Answer:
        """Asks for the preferred leaders, and looks until this broker leads its own."""
        node = self.config.node_id
        first = cluster
        wanted = len(led_in_vain(cluster, node))
        while True:
            try:
                asked = to_elect(cluster)
                if asked:
                    self.facts.elect(asked)
                    cluster = self.facts.cluster()
                missing = led_in_vain(cluster, node)
                trouble = f"broker {node} does not lead {', '.join(map(str, missing[:5]))} yet"
            except GatherError as error:
                missing, trouble = led_in_vain(first, node), str(error)
            if not missing:
                others = to_elect(cluster)
                told = [f"resumed: broker {node} leads {len(led_by(cluster, node))} partitions"]
                told.append(f"leaders elected: {wanted}")
                told += [
                    f"warning: {one} has another leader than its first replica"
                    for one in others[:5]
                ]
                return Answer.of(OK, *told)
            if time.monotonic() + self._pause >= end:
                return Answer.of(UNAVAILABLE, f"busy: {trouble}")
            time.sleep(self._pause)
            cluster = self._cluster_or_none() or cluster

    def finalise(self) -> Answer:
        """Gives the data of the cluster the newest features that this Kafka has: no way back.

        The active controller refuses what a broker of the cluster cannot read.
        """
        with self._orders:
            try:
                levels = to_finalise(self.facts.cluster().features)
                if levels:
                    self.facts.finalise(levels)
                features = self.facts.cluster().features
            except GatherError as error:
                return Answer.of(UNAVAILABLE, f"failed: {error}")
            if left := to_finalise(features):
                return Answer.of(UNAVAILABLE, f"busy: {', '.join(left)} not finalised yet")
            told = ", ".join(f"{name} {level}" for name, level in levels.items())
            return Answer.of(
                OK,
                f"finalised: {told or 'nothing, the data have the newest features'}",
                *(f"format {one.name} {one.finalised}" for one in features if one.finalised),
            )

    def metrics(self) -> Answer:
        """What the gate knows, at most ten seconds old."""
        now = time.monotonic()
        known = self._metrics
        if known is None or now - known[0] > METRICS_AGE:
            known = (now, self._metrics_text(now))
            self._metrics = known
        return Answer(OK, known[1])

    def _metrics_text(self, began: float) -> str:
        try:
            cluster, found = self._look()
        except GatherError as error:
            return lines.no_metrics(str(error))
        decision = decide(cluster, found, NOBODY)
        return lines.metrics(decision, cluster, found, time.monotonic() - began)

    def _until(self, end: float, holds: Callable[[], bool]) -> bool:
        """Looks again and again; nothing tells when another process lets its locks go."""
        while not holds():
            if time.monotonic() + self._pause >= end:
                return holds()
            time.sleep(self._pause)
        return True


def run_command(command: tuple[str, ...]) -> str:
    """Runs it; what went wrong, in one line."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]}: {error}"
    if done.returncode == 0:
        return ""
    said = (done.stderr or done.stdout).strip().splitlines()
    return f"{' '.join(command)} ended with {done.returncode}{': ' + said[-1] if said else ''}"
