"""How the facts of a cluster are gathered from what kafka-python returns."""

from __future__ import annotations

import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from kafka import errors
from kafka.admin import KafkaAdminClient
from tests.support.kafka_admins import DIRECTORY, MOVE, FakeAdmin, row, voter

from kafka_agent.config import read
from kafka_agent.facts import Feature, Partition, Replica, Timeouts
from kafka_agent.gather import Admin, Gatherer, GatherError, directory_text, name_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable
    from pathlib import Path

    from kafka_agent.config import Config


BROKERS = [(one, f"10.0.0.{one}", 9092) for one in (1, 2, 3)]
BOOTSTRAP = [(-2, "b", 2), (-1, "a", 1)]


class Setup:
    """A gatherer over fake clients, and what it has probed."""

    def __init__(self, folder: Path, *admins: FakeAdmin | Exception) -> None:
        server = folder / "server.properties"
        server.write_text("node.id=1\nprocess.roles=broker,controller\nlog.dirs=/d\n")
        own = folder / "agent.properties"
        own.write_text(f"bootstrap.servers=a:1,b:2\nserver.properties={server}\nmembers=2:second\n")
        self.config = read(own)
        self.admins = list(admins)
        self.silent: dict[int, str] = {}
        self.limits: list[float] = []
        self.gatherer = Gatherer(self.config, self.connect, self.probe)

    def connect(self, config: Config, context: ssl.SSLContext | None) -> Admin:
        assert config is self.gatherer.config
        assert context is None
        one = self.admins.pop(0) if len(self.admins) > 1 else self.admins[0]
        if isinstance(one, Exception):
            raise one
        return one

    def probe(
        self, addresses: Iterable[tuple[int, str, int]], limit: float, context: Any
    ) -> dict[int, str]:
        asked = sorted(addresses)
        assert asked in (BROKERS, BOOTSTRAP)
        assert context is None
        self.limits.append(limit)
        return {one: self.silent.get(one, "") for one, _, _ in asked}


def test_all_facts_come_in_their_types(tmp_path: Path) -> None:
    found = Setup(tmp_path, FakeAdmin(fenced={3})).gatherer.cluster()
    assert [(one.node_id, one.name, one.rack, one.fenced) for one in found.brokers] == [
        (1, "broker-1", "zone-1", False),
        (2, "second", "zone-2", False),
        (3, "broker-3", "zone-3", True),
    ]
    assert found.partitions[1] == Partition("orders", 1, 2, (2, 3, 1), (2, 3, 1), 1)
    assert found.features == (
        Feature("group.version", None, (0, 1)),
        Feature("metadata.version", 33, (7, 33)),
    )
    assert found.timeouts == Timeouts(2000, 9000)


def test_the_active_controller_is_that_of_the_quorum(tmp_path: Path) -> None:
    """`describe_cluster` says 3, a random broker."""
    assert Setup(tmp_path, FakeAdmin(leader=2)).gatherer.cluster().quorum.leader_id == 2


def test_a_directory_id_is_written_as_on_the_disk(tmp_path: Path) -> None:
    quorum = Setup(tmp_path, FakeAdmin()).gatherer.cluster().quorum
    assert quorum.voters[0].directory_id == "VvimiBJDQPym720VGsTESA" == directory_text(DIRECTORY)
    assert directory_text(None) == directory_text("00000000-0000-0000-0000-000000000000") == ""


def test_min_isr_is_the_effective_one(tmp_path: Path) -> None:
    """A topic's own, also if it is lower; otherwise the highest that a broker has."""
    admin = FakeAdmin(
        topics={"own": [row(0, [1])], "low": [row(0, [1])], "default": [row(0, [1])]},
        of_topics={"own": "3", "low": "1"},
        settings={2: {"min.insync.replicas": "2"}},
    )
    found = Setup(tmp_path, admin).gatherer.cluster()
    assert {one.topic: one.min_isr for one in found.partitions} == {
        "own": 3,
        "low": 1,
        "default": 2,
    }


def test_each_question_asks_anew_and_keeps_the_connection(tmp_path: Path) -> None:
    admin = FakeAdmin()
    setup = Setup(tmp_path, admin, OSError("no second client is needed"))
    setup.gatherer.cluster()
    admin.leader = 3
    assert setup.gatherer.cluster().quorum.leader_id == 3
    assert len(setup.limits) == 2


def test_partitions_come_page_by_page(tmp_path: Path) -> None:
    admin = FakeAdmin(topics={"t": [row(one, [1, 2]) for one in range(7)]}, page=3)
    found = Setup(tmp_path, admin).gatherer.cluster()
    assert [one.index for one in found.partitions] == list(range(7))
    assert sum(one[0] == "partitions" for one in admin.calls) == 3


def test_a_list_that_does_not_end_is_given_up(tmp_path: Path) -> None:
    class Endless(FakeAdmin):
        def describe_topic_partitions(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
            del args, kwargs
            return {"topics": [], "next_cursor": {"place": 1}}

    with pytest.raises(GatherError, match="the list of partitions does not end"):
        Setup(tmp_path, Endless()).gatherer.cluster()


def test_a_topic_that_is_being_deleted_is_left_out_and_one_that_is_hidden_is_an_error(
    tmp_path: Path,
) -> None:
    class Odd(FakeAdmin):
        code = 3

        def describe_topic_partitions(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
            page = super().describe_topic_partitions(*args, **kwargs)
            page["topics"].append({"error_code": self.code, "name": "gone", "partitions": []})
            return page

    odd = Odd()
    assert len(Setup(tmp_path, odd).gatherer.cluster().partitions) == 2
    odd.code = 29
    with pytest.raises(GatherError, match="topic gone cannot be read: error 29"):
        Setup(tmp_path, odd).gatherer.cluster()


def test_a_reassignment_has_its_target(tmp_path: Path) -> None:
    admin = FakeAdmin(topics={"orders": [row(0, [1, 2, 3, 4])]}, moves=MOVE)
    partition = Setup(tmp_path, admin).gatherer.cluster().partitions[0]
    assert (partition.adding, partition.removing, partition.target) == ((4,), (1,), (2, 3, 4))


def test_a_silent_broker_is_asked_nothing_else(tmp_path: Path) -> None:
    admin = FakeAdmin()
    setup = Setup(tmp_path, admin)
    setup.silent = {2: "no answer"}
    found = setup.gatherer.cluster()
    assert [one.silent for one in found.brokers] == ["", "no answer", ""]
    assert "configs of broker 2" not in admin.calls


def test_a_broker_that_connects_and_does_not_describe_itself_is_silent(tmp_path: Path) -> None:
    admin = FakeAdmin(fails={"configs of broker 2": errors.KafkaTimeoutError()})
    found = Setup(tmp_path, admin).gatherer.cluster()
    assert found.brokers[1].silent == "it did not describe itself (KafkaTimeoutError)"


def test_the_limit_of_a_probe_is_the_cluster_s_own(tmp_path: Path) -> None:
    slow = {one: {"controller.quorum.fetch.timeout.ms": "12000"} for one in (1, 2, 3)}
    setup = Setup(tmp_path, FakeAdmin(settings=slow))
    setup.gatherer.cluster()
    assert setup.gatherer.cluster().quorum.fetch_timeout_ms == 12000
    assert setup.limits == [2.0, 12.0]  # the first question does not know it yet
    setup.gatherer.config = replace(setup.config, probe_ms=700)
    setup.gatherer.cluster()
    assert setup.limits[2:] == [pytest.approx(0.7)]


def test_a_call_that_fails_says_why_and_the_next_question_has_a_new_client(tmp_path: Path) -> None:
    first = FakeAdmin(fails={"quorum": errors.KafkaConnectionError("reset")})
    setup = Setup(tmp_path, first, FakeAdmin())
    with pytest.raises(GatherError, match=r"no broker of a:1, b:2 answers \(KafkaConnectionError"):
        setup.gatherer.cluster()
    assert setup.gatherer.cluster().cluster_id == "c"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errors.KafkaTimeoutError("bootstrap"), "a:1, b:2 answers, and does not let the agent in"),
        (errors.ClusterAuthorizationFailedError(), "the user of the agent may not read this"),
        (errors.SaslAuthenticationFailedError(), "the brokers refuse the user of the agent"),
        (ValueError("odd"), "ValueError: odd"),
    ],
)
def test_a_client_that_cannot_be_made_says_why_in_one_line(
    tmp_path: Path, error: Exception, said: str
) -> None:
    with pytest.raises(GatherError) as caught:
        Setup(tmp_path, error).gatherer.cluster()
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_brokers_that_do_not_answer_say_why(tmp_path: Path) -> None:
    setup = Setup(tmp_path, errors.KafkaTimeoutError("bootstrap"))
    setup.silent = {-1: "a:1: Connection refused", -2: "no answer from b:2 within 2 s"}
    with pytest.raises(
        GatherError,
        match="no broker answers: a:1: Connection refused; no answer from b:2 within 2 s",
    ):
        setup.gatherer.cluster()


@pytest.mark.parametrize("hidden", ["configs of broker 2", "configs of topic orders"])
def test_a_config_that_the_client_leaves_out_is_no_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hidden: str
) -> None:
    """Without the right to read it kafka-python returns nothing, and no error."""
    monkeypatch.setattr("kafka_agent.gather.PAUSE", 0)

    class Hides(FakeAdmin):
        def describe_configs(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
            found = super().describe_configs(*args, **kwargs)
            kind, name = hidden.removeprefix("configs of ").split()
            found.get(kind, {}).pop(name, None)
            return found

    with pytest.raises(
        GatherError, match=r"cannot be read: .*needs Describe and DescribeConfigs on"
    ):
        Setup(tmp_path, Hides()).gatherer.cluster()


def test_a_topic_that_another_broker_does_not_know_yet_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list comes from one broker, the config from another, which may be behind."""
    monkeypatch.setattr("kafka_agent.gather.PAUSE", 0)

    class Behind(FakeAdmin):
        answers = 0

        def describe_configs(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
            found = super().describe_configs(*args, **kwargs)
            if "topic" in found:
                self.answers += 1
                if self.answers < 3:
                    found["topic"].pop("new")
            return found

    admin = Behind(topics={"orders": [row(0, [1, 2])], "new": [row(0, [1])]})
    found = Setup(tmp_path, admin).gatherer.cluster()
    assert {one.topic for one in found.partitions} == {"orders", "new"}
    assert admin.answers == 3


def test_a_topic_that_was_deleted_between_its_list_and_its_config_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kafka_agent.gather.PAUSE", 0)

    class Deleted(FakeAdmin):
        def describe_configs(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
            found = super().describe_configs(*args, **kwargs)
            if found.get("topic", {}).pop("gone", None):
                del self.topics["gone"]
            return found

    admin = Deleted(topics={"orders": [row(0, [1, 2])], "gone": [row(0, [1])]})
    found = Setup(tmp_path, admin).gatherer.cluster()
    assert {one.topic for one in found.partitions} == {"orders"}


def test_an_election_that_the_user_may_not_ask_for_is_told(tmp_path: Path) -> None:
    class Denies(FakeAdmin):
        def elect_leaders(self, *args: Any, **kwargs: Any) -> Any:
            super().elect_leaders(*args, **kwargs)
            return SimpleNamespace(error_code=31)

    setup = Setup(tmp_path, Denies())
    with pytest.raises(GatherError, match="needs Alter on the cluster"):
        setup.gatherer.elect(setup.gatherer.cluster().partitions)


def test_a_client_that_hangs_is_left_behind_in_time(tmp_path: Path) -> None:
    let_go = threading.Event()

    class Hangs(FakeAdmin):
        def describe_cluster(self) -> dict[str, Any]:
            assert let_go.wait(60)
            return super().describe_cluster()

    setup = Setup(tmp_path, Hangs(), FakeAdmin())
    setup.gatherer.config = replace(setup.config, gather_ms=50)
    with pytest.raises(GatherError, match=r"the cluster did not answer within 0\.05 s"):
        setup.gatherer.cluster()
    setup.gatherer.config = setup.config
    assert setup.gatherer.cluster().cluster_id == "c"
    let_go.set()


def test_a_quorum_that_cannot_be_described_is_told(tmp_path: Path) -> None:
    class Sick(FakeAdmin):
        def describe_metadata_quorum(self) -> dict[str, Any]:
            found = super().describe_metadata_quorum()
            found["topics"][0]["partitions"][0]["error"] = "NotLeader"
            return found

    with pytest.raises(GatherError, match="the quorum cannot be described: NotLeader"):
        Setup(tmp_path, Sick()).gatherer.cluster()


def test_bytes_of_replicas_of_those_that_answer(tmp_path: Path) -> None:
    admin = FakeAdmin(fails={"log dirs of 2": errors.KafkaTimeoutError()})
    setup = Setup(tmp_path, admin)
    partitions = setup.gatherer.cluster().partitions
    assert setup.gatherer.replicas(partitions[:1], [1, 2]) == [Replica("orders", 0, 1, 100)]


def test_leaders_are_elected_by_topic(tmp_path: Path) -> None:
    admin = FakeAdmin()
    setup = Setup(tmp_path, admin)
    setup.gatherer.elect(setup.gatherer.cluster().partitions)
    assert admin.calls[-1] == ("elect", {"orders": [0, 1]})


def test_features_are_finalised_in_one_call_and_a_refusal_is_told(tmp_path: Path) -> None:
    admin = FakeAdmin()
    setup = Setup(tmp_path, admin)
    setup.gatherer.finalise({"metadata.version": 33, "group.version": 1})
    assert admin.calls[-1] == ("finalise", {"metadata.version": 33, "group.version": 1})
    admin.refused = {"group.version": "INVALID_UPDATE_VERSION"}
    with pytest.raises(
        GatherError, match=r"^not finalised: group\.version: INVALID_UPDATE_VERSION$"
    ):
        setup.gatherer.finalise({"metadata.version": 33, "group.version": 1})


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("kafka-1.europe-west1-b.c.project.internal", "kafka-1"),
        ("kafka-1", "kafka-1"),
        ("10.0.0.1", "broker-1"),
        ("::1", "broker-1"),
    ],
)
def test_a_member_is_named_as_its_instance(host: str, name: str) -> None:
    assert name_of(1, host, {}) == name
    assert name_of(1, host, {1: "mine"}) == "mine"


def test_a_voter_of_an_old_cluster_has_no_directory() -> None:
    old = {key: value for key, value in voter(1).items() if key != "replica_directory_id"}
    assert directory_text(old.get("replica_directory_id")) == ""


@pytest.mark.parametrize(
    "call", [one for one in vars(Admin) if not one.startswith("_") and callable(vars(Admin)[one])]
)
def test_kafka_python_has_each_call_that_is_used(call: str) -> None:
    assert callable(getattr(KafkaAdminClient, call))
