"""What the agent does around a stop, over files of a broker and facts that a test sets."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.support.kafka_agents import Bench, FakeFacts, locked
from tests.support.kafka_facts import cluster, partition, quorum

from kafka_agent import local
from kafka_agent.agent import run_command
from kafka_agent.facts import Feature, Voter

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from kafka_agent.facts import Cluster

WELL = cluster(partition("orders-7", (1, 2, 3)))
MOVED = cluster(partition("orders-7", (1, 2, 3), (2, 3)), fenced={1}, silent={1})
BEHIND = cluster(partition("orders-7", (1, 2, 3), (1, 3)))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, FakeFacts([WELL]))


@pytest.fixture
def broker(bench: Bench) -> Iterator[subprocess.Popen[str]]:
    """It runs, so that its clean mark is gone; `stop` ends it as Kafka does."""
    bench.clean.unlink()
    with locked(bench.data) as process:

        def stop(command: tuple[str, ...]) -> str:
            if command[0] == "stop" and process.stdin is not None:
                bench.clean.touch()
                process.stdin.close()
                process.wait()
            return ""

        bench.on_run = stop
        yield process


def test_a_broker_runs_while_a_process_holds_its_lock(bench: Bench) -> None:
    assert not bench.agent.local().running
    with locked(bench.data):
        assert bench.agent.local().running
        assert bench.agent.local().running_seconds >= 0
    assert not bench.agent.local().running


def test_the_lock_is_asked_for_and_never_taken(bench: Bench) -> None:
    lock = bench.data / ".lock"
    lock.touch()
    assert not local.lock_is_held(lock)
    with locked(bench.data):  # nobody is in its way
        assert local.lock_is_held(lock)


def test_the_disk_has_the_directory_id(bench: Bench) -> None:
    found = bench.agent.local()
    assert (found.directory_id, found.cluster_id) == ("dir-1", "c")
    (bench.data / "meta.properties").unlink()
    assert bench.agent.local().directory_id == ""


def test_folders_of_partitions_are_found_and_no_others(bench: Bench) -> None:
    for name in ("orders-7", "my-own.topic-0", "orders-3.5f2a-delete", "orders-4.5f2a-future"):
        (bench.data / name).mkdir()
    for name in ("__cluster_metadata-0", "orders-5.5f2a-stray", "remote-log-index-cache"):
        (bench.data / name).mkdir()
    assert bench.agent.local().on_disk == {"orders-7", "my-own.topic-0"}


@pytest.mark.usefixtures("broker")
@pytest.mark.parametrize("moment", ["before", "after", "all the time"])
def test_a_topic_that_comes_or_goes_during_the_question_is_not_hidden(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    folder = bench.data / "young-0"

    def answers() -> object:
        folder.rmdir() if moment == "before" else folder.mkdir(exist_ok=True)
        return WELL

    if moment != "after":
        folder.mkdir()
    monkeypatch.setattr(bench.facts, "cluster", answers)
    assert ("young-0 is on the disk" in bench.agent.gate().body) == (moment == "all the time")


@pytest.mark.usefixtures("broker")
def test_a_gate_is_open_or_blocked_or_nobody_knows(bench: Bench) -> None:
    assert bench.agent.gate().status == 200
    bench.facts.answers = [BEHIND]
    assert bench.agent.gate().status == 409
    bench.facts.answers = ["no broker answers"]
    answer = bench.agent.gate()
    assert (answer.status, answer.body) == (503, "failed: no broker answers\n")


@pytest.mark.usefixtures("broker")
def test_members_that_are_down_on_purpose_are_given_by_name_or_number(bench: Bench) -> None:
    nine = cluster(brokers=9, silent={4}, of=quorum((101, 102, 103), leader=101))
    bench.facts.answers = [nine]
    assert bench.agent.gate().status == 409
    for name in ("kafka-4", "4"):
        answer = bench.agent.gate([name])
        assert answer.status == 200
        assert "batch kafka-1 kafka-4 kafka-7\n" in answer.body


@pytest.mark.usefixtures("broker")
def test_a_member_that_has_no_broker_yet_takes_nothing_away(bench: Bench) -> None:
    names = {1: "kafka-1", 2: "kafka-2", 3: "kafka-3"}
    bench.agent.config = replace(bench.agent.config, names=names)
    answer = bench.agent.gate(["kafka-4"])
    assert answer.status == 200
    assert "batch kafka-1 kafka-4\n" in answer.body
    assert "warning: kafka-4 has no broker in this cluster\n" in answer.body


@pytest.mark.usefixtures("broker")
def test_a_name_counts_as_no_broker_only_where_names_are_those_of_instances(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise it may be the broker that is stopped at the same time."""
    answer = bench.agent.gate(["other", "third"])
    assert answer.status == 409
    assert answer.body.startswith("blocked: no broker is called other, third: give the names of")
    monkeypatch.setattr("socket.gethostname", lambda: "kafka-1.zone.c.project.internal")
    assert bench.agent.gate(["other", "third"]).status == 200


@pytest.mark.usefixtures("broker")
def test_its_own_name_among_those_that_are_down_changes_nothing(bench: Bench) -> None:
    assert bench.agent.gate(["kafka-1"]).body == bench.agent.gate().body


def test_a_broker_that_does_not_run_may_stop_though_nobody_answers(bench: Bench) -> None:
    bench.facts.answers = ["no broker answers"]
    answer = bench.agent.gate()
    assert answer.status == 200
    assert "warning: no broker answers" in answer.body


@pytest.mark.usefixtures("broker")
def test_a_drain_stops_the_broker_and_sees_leaders_and_mark(bench: Bench) -> None:
    bench.facts.answers = [WELL, WELL, MOVED]
    answer = bench.agent.drain()
    assert answer.status == 200, answer.body
    assert bench.ran == [("stop", "it")]
    first, mark, moved = answer.body.splitlines()
    assert first.startswith("drained: broker 1 has stopped in ")
    assert (mark, moved) == (f"clean shutdown: {bench.data}", "leaders moved: 1")
    assert bench.facts.asked == 3  # before, not yet, moved


@pytest.mark.usefixtures("broker")
def test_a_second_drain_verifies_and_stops_nothing(bench: Bench) -> None:
    bench.facts.answers = [WELL, MOVED]
    assert bench.agent.drain().status == 200
    assert bench.agent.drain().body.startswith("drained: broker 1 has stopped before\n")
    assert len(bench.ran) == 1
    assert bench.agent.gate().status == 200
    assert "it was drained" in bench.agent.health().body


@pytest.mark.usefixtures("broker")
def test_a_gate_that_has_closed_since_keeps_the_drain_from_stopping(bench: Bench) -> None:
    bench.facts.answers = [BEHIND]
    answer = bench.agent.drain()
    assert answer.status == 409
    assert answer.body.startswith("blocked: orders-7 would have 1 of 2")
    assert bench.ran == []
    bench.facts.answers = ["no broker answers"]
    assert bench.agent.drain().body == "failed: no broker answers; nothing was stopped\n"
    assert bench.ran == []


@pytest.mark.usefixtures("broker")
def test_a_stop_that_cannot_be_given_is_told_and_leaves_no_mark(bench: Bench) -> None:
    bench.on_run = lambda _: "systemctl: no such unit"
    assert bench.agent.drain().body == (
        "failed: the broker could not be stopped: systemctl: no such unit\n"
    )
    assert not bench.agent.local().drained


def test_a_shutdown_beyond_its_deadline_fails_and_kills_nothing(
    bench: Bench, broker: subprocess.Popen[str]
) -> None:
    bench.end_at_once()
    bench.on_run = lambda _: ""
    answer = bench.agent.drain()
    assert answer.status == 503
    assert answer.body == (
        "failed: the controlled shutdown has not ended within 0.3 s, it leads 1 partitions "
        "(orders-7); it goes on, and nothing was killed\n"
    )
    assert broker.poll() is None
    # A resume waits for its end, so that the start is not lost, and gives it then.
    assert bench.agent.resume().body == "busy: the controlled shutdown of the drain goes on\n"
    assert ("start", "it") not in bench.ran
    assert broker.stdin is not None
    broker.stdin.close()
    broker.wait()
    assert bench.agent.resume().body == "busy: the broker is being started again\n"
    assert bench.ran[-1] == ("start", "it")


def test_a_stop_without_clean_mark_is_a_kill(bench: Bench, broker: subprocess.Popen[str]) -> None:
    def kill(_: tuple[str, ...]) -> str:
        broker.kill()
        broker.wait()
        return ""

    bench.on_run = kill
    answer = bench.agent.drain()
    assert answer.status == 503
    assert answer.body.startswith(f"failed: no clean shutdown mark in {bench.data}: Kafka")


@pytest.mark.usefixtures("broker")
def test_a_leader_that_does_not_move_fails_the_drain_by_name(bench: Bench) -> None:
    stays = cluster(partition("orders-7", (1, 2, 3), (2, 3), leader=-1), silent={1})
    bench.end_at_once()
    bench.facts.answers = [WELL, stays]
    assert bench.agent.drain().body == (
        "failed: the broker has stopped, and 1 partitions have no other leader yet, "
        "such as orders-7\n"
    )


@pytest.mark.usefixtures("broker")
def test_the_only_broker_is_drained_without_others_to_ask(bench: Bench) -> None:
    alone = cluster(partition("orders-7", (1,), min_isr=1), brokers=1, of=quorum((1,), leader=1))
    bench.facts.answers = [alone, "no broker answers"]
    answer = bench.agent.drain()
    assert answer.status == 200
    assert "warning: there is no other broker to ask who leads" in answer.body
    assert bench.agent.gate().status == 200


def test_a_broker_that_does_not_run_is_drained(bench: Bench) -> None:
    assert bench.agent.drain().body == "drained: Kafka did not run\n"
    bench.facts.answers = ["no broker answers"]
    assert bench.agent.drain().status == 200
    assert bench.ran == []


@pytest.mark.usefixtures("broker")
def test_a_resume_starts_what_was_drained_once(bench: Bench) -> None:
    bench.facts.answers = [WELL, MOVED]
    bench.agent.drain()
    assert bench.agent.resume().body == "busy: the broker is being started again\n"
    bench.agent.resume()
    assert bench.ran == [("stop", "it"), ("start", "it")]
    assert not bench.agent.local().drained


@pytest.mark.usefixtures("broker")
def test_a_drain_that_somebody_has_taken_back_is_forgotten(bench: Bench) -> None:
    bench.facts.answers = [WELL, MOVED, WELL]
    bench.agent.drain()
    with locked(bench.data):
        assert not bench.agent.local().drained
        assert bench.agent.resume().status == 200
    assert ("start", "it") not in bench.ran


@pytest.mark.usefixtures("broker")
def test_a_resume_elects_the_preferred_leaders_and_sees_them_lead(bench: Bench) -> None:
    lost = cluster(
        partition("orders-7", (1, 2, 3), leader=2), partition("orders-8", (2, 1), leader=2)
    )
    found = cluster(partition("orders-7", (1, 2, 3)), partition("orders-8", (2, 1)))
    bench.facts.answers = [lost, lost, lost, found]
    answer = bench.agent.resume()
    assert answer.status == 200
    assert answer.body == "resumed: broker 1 leads 1 partitions\nleaders elected: 1\n"
    assert bench.facts.elected == [["orders-7"], ["orders-7"]]


@pytest.mark.usefixtures("broker")
def test_a_leader_that_does_not_come_back_is_named(bench: Bench) -> None:
    bench.end_at_once()
    bench.facts.answers = [cluster(partition("orders-7", (1, 2, 3), leader=2))]
    answer = bench.agent.resume()
    assert (answer.status, answer.body) == (503, "busy: broker 1 does not lead orders-7 yet\n")


@pytest.mark.usefixtures("broker")
def test_nobody_is_elected_before_the_broker_is_healthy(bench: Bench) -> None:
    bench.facts.answers = [cluster(partition("orders-7", (1, 2, 3), (2, 3)))]
    answer = bench.agent.resume()
    assert answer.status == 503
    assert answer.body.startswith("busy: 0 of 1 partitions are in sync; not orders-7")
    assert bench.facts.elected == []


@pytest.mark.usefixtures("broker")
def test_another_disk_is_refused_with_the_remedy(bench: Bench) -> None:
    other = replace(
        WELL, quorum=replace(WELL.quorum, voters=(Voter(1, "old", 5), *WELL.quorum.voters[1:]))
    )
    bench.facts.answers = [other]
    answer = bench.agent.resume()
    assert answer.status == 503
    assert answer.body.startswith("refused: controller 1 has the directory id dir-1 on its disk")
    assert "remove-controller --controller-id 1 --controller-directory-id old" in answer.body


@pytest.mark.usefixtures("broker")
def test_health_tells_a_start_by_the_log_though_nobody_answers(bench: Bench) -> None:
    bench.facts.answers = ["no broker answers"]
    assert bench.agent.health().body == "unhealthy: no broker answers\n"
    (bench.folder / "server.log").write_text(
        "Loading logs from log dirs [/d1]\nRecovering 8 logs from /d1 since no clean mark\n"
        "Completed (3/8 completed in /d1)\n"
    )
    assert bench.agent.health().body == "busy: 3 of 8 logs are recovered after an unclean stop\n"
    bench.facts.answers = [WELL]
    assert bench.agent.health().status == 200


def test_metrics_are_those_of_the_gate_and_asked_for_every_ten_seconds(bench: Bench) -> None:
    body = bench.agent.metrics().body
    assert bench.agent.metrics().body == body
    assert bench.facts.asked == 1
    assert 'kafka_agent_broker_up{broker="2",rack="zone-1"} 1\n' in body
    assert "kafka_agent_partitions_led 1\n" in body


def test_without_answer_the_metrics_say_so(bench: Bench) -> None:
    bench.facts.answers = ["no broker answers"]
    answer = bench.agent.metrics()
    assert answer.status == 200
    assert answer.body.endswith("# no broker answers\nkafka_agent_up 0\n")


def test_a_command_says_in_one_line_what_went_wrong(tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\necho first >&2\necho last >&2\nexit $1\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    assert run_command((str(tool), "0")) == ""
    assert run_command((str(tool), "3")) == f"{tool} 3 ended with 3: last"
    missing = run_command((os.fspath(tmp_path / "none"),))
    assert missing.startswith(f"{tmp_path / 'none'}: ")


def with_features(**levels: int | None) -> Cluster:
    supported = {"metadata.version": (7, 33), "group.version": (0, 1)}
    told = {name.replace("_", "."): level for name, level in levels.items()}
    features = tuple(Feature(name, told.get(name), reach) for name, reach in supported.items())
    return replace(cluster(), features=features)


def test_what_is_finalised_gets_the_newest_level_and_is_seen_to_have_it(bench: Bench) -> None:
    before = with_features(metadata_version=30, group_version=1)
    after = with_features(metadata_version=33, group_version=1)
    bench.facts.answers = [before, after]
    answer = bench.agent.finalise()
    assert (answer.status, answer.body) == (
        200,
        "finalised: metadata.version 33\nformat metadata.version 33\nformat group.version 1\n",
    )
    assert bench.facts.finalised == [{"metadata.version": 33}]


def test_data_that_have_the_newest_features_are_left(bench: Bench) -> None:
    bench.facts.answers = [with_features(metadata_version=33)]
    answer = bench.agent.finalise()
    assert answer.body.startswith("finalised: nothing, the data have the newest features\n")
    assert (answer.status, bench.facts.finalised) == (200, [])


def test_a_feature_that_is_not_finalised_is_not_begun(bench: Bench) -> None:
    """One that nobody uses yet is switched on by a person who wants it."""
    bench.facts.answers = [with_features(metadata_version=33, group_version=None)]
    bench.agent.finalise()
    assert bench.facts.finalised == []


def test_what_is_not_finalised_in_the_end_is_no_success(bench: Bench) -> None:
    bench.facts.answers = [with_features(metadata_version=30)]
    answer = bench.agent.finalise()
    assert (answer.status, answer.body) == (503, "busy: metadata.version not finalised yet\n")
    bench.facts.answers = ["no broker answers"]
    answer = bench.agent.finalise()
    assert (answer.status, answer.body) == (503, "failed: no broker answers\n")
