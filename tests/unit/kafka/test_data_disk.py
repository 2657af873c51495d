"""What a broker does with its data disk at its start: a table of cases, and all of them together.

The one thing that must never happen: a disk that is empty because it is not the right one, or
because its data are lost, becomes a new cluster beside the one that exists.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.kafka_recipe import program

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

setup = program("kafka_setup")

CLUSTER, ONE, TWO, NEW = (letter * 22 for letter in "cdef")
VOTERS = f"1@kafka-1:9093:{ONE},2@kafka-2:9093:{TWO}"
KEYS = {"node-id": "2", "cluster-id": CLUSTER, "initial-controllers": VOTERS}
JOINS = {**KEYS, "node-id": "4"}
TODAY = date(2026, 11, 28)
NOBODY = setup.Others()
ALLOWED = "the first rollout of its fleet has created it"
INITIAL, NO_INITIAL = ("--initial-controllers", VOTERS), ("--no-initial-controllers",)


def answer(**more: Any) -> Any:
    """What a cluster says, of this cluster and of no such broker by default."""
    return setup.Others(**{"answered": True, "cluster": CLUSTER, **more})


def meta(node: str = "2", cluster: str = CLUSTER) -> dict[str, str]:
    return {"node.id": node, "cluster.id": cluster, "directory.id": TWO, "version": "1"}


def not_asked() -> object:
    raise AssertionError("the others are asked about an empty disk only")


def empty(others: Any, keys: dict[str, str] | None = None, allowed: str = "") -> Any:
    """What becomes of an empty disk."""
    return setup.storage(keys or KEYS, None, [], lambda: others, allowed, TODAY)


def kept(found: dict[str, str] | None, content: list[str], ask: Callable[[], Any]) -> Any:
    """What becomes of a disk with content, whatever is allowed."""
    return setup.storage(KEYS, found, content, ask, ALLOWED, TODAY)


def test_the_disk_of_this_broker_is_kept_whatever_the_others_say() -> None:
    assert kept(meta(), ["meta.properties", "t-0"], not_asked) == setup.Keep(TWO)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (meta(node="3"), f"is that of node 3 of the cluster {CLUSTER}, and this is node 2"),
        (meta(cluster=NEW), f"is that of node 2 of the cluster {NEW}"),
        ({}, "is that of node ? of the cluster ?"),
        ({"cluster.id": CLUSTER}, f"is that of node ? of the cluster {CLUSTER}"),
    ],
    ids=["another-node", "another-cluster", "a-file-without-lines", "half-a-file"],
)
def test_the_disk_of_another_broker_is_refused_even_in_a_first_rollout(
    found: dict[str, str], message: str
) -> None:
    with pytest.raises(setup.Refused, match=r"the disk is left as it is") as refused:
        kept(found, ["meta.properties"], not_asked)
    assert message in str(refused.value)


@pytest.mark.parametrize("content", [["base", "PG_VERSION"], ["bootstrap.checkpoint"], ["t-0"]])
def test_a_folder_with_something_else_or_half_a_format_is_refused(content: list[str]) -> None:
    with pytest.raises(setup.Refused, match=r"has no meta\.properties, but ") as refused:
        kept(None, content, not_asked)
    assert content[0] in str(refused.value)


def test_a_cluster_is_made_only_by_what_says_that_there_is_none() -> None:
    assert empty(NOBODY, allowed=ALLOWED).arguments == INITIAL
    with pytest.raises(setup.Refused) as refused:
        empty(NOBODY)
    told = str(refused.value)
    assert f"nobody knows whether the cluster {CLUSTER} exists and has data of node 2" in told
    assert "kafka-new-cluster=2026-11-28" in told
    assert "Bring the other brokers up" in told


def test_a_broker_that_joins_does_not_guess_either() -> None:
    assert empty(answer(), JOINS).arguments == NO_INITIAL
    assert empty(NOBODY, JOINS, ALLOWED).arguments == NO_INITIAL, "the first ones are starting"
    with pytest.raises(setup.Refused, match="no other broker answers"):
        empty(NOBODY, JOINS)


def test_initial_controllers_that_start_at_once_are_one_cluster() -> None:
    """Each finds nobody: all of them format with the same list."""
    made = {
        node: empty(NOBODY, {**KEYS, "node-id": node}, ALLOWED).arguments for node in ("1", "2")
    }
    assert made == {"1": INITIAL, "2": INITIAL}


def test_an_initial_controller_that_comes_later_has_the_place_that_was_kept_for_it() -> None:
    waited_for = answer(directory=TWO)
    assert empty(waited_for, allowed=ALLOWED).arguments == INITIAL
    with pytest.raises(setup.Refused, match=f"kafka-new-disk={TWO}$"):
        empty(waited_for)
    with pytest.raises(setup.Refused, match=f"kafka-new-disk={TWO}$"):
        empty(answer(directory=TWO, registered=True), allowed=ALLOWED)


def test_a_list_of_controllers_that_was_changed_makes_no_second_cluster() -> None:
    changed = {**KEYS, "node-id": "4", "initial-controllers": f"4@kafka-4:9093:{NEW}"}
    assert empty(answer(), changed).arguments == NO_INITIAL
    assert empty(answer(), changed, ALLOWED).arguments == NO_INITIAL
    with pytest.raises(setup.Refused, match="no other broker answers"):
        empty(NOBODY, changed)


def test_brokers_of_another_cluster_are_named() -> None:
    for allowed in ("", ALLOWED):
        with pytest.raises(setup.Refused, match=f"are of the cluster {NEW}, and this one is of"):
            empty(answer(cluster=NEW), allowed=allowed)


def test_a_broker_with_the_name_of_one_that_the_cluster_knows_is_refused_with_the_remedy() -> None:
    with pytest.raises(setup.Refused, match=f"give the metadata kafka-new-disk={TWO}$") as refused:
        empty(answer(registered=True, directory=TWO))
    assert f"the cluster knows node 2 with the directory id {TWO}" in str(refused.value)
    with pytest.raises(setup.Refused, match=r"kafka-new-disk=broker$"):
        empty(answer(registered=True), JOINS)


def test_a_permission_is_for_the_disk_that_was_lost_and_no_later_one() -> None:
    keys = {**KEYS, "new-disk": TWO}
    assert empty(answer(registered=True, directory=TWO), keys).arguments == NO_INITIAL
    with pytest.raises(setup.Refused, match=f"kafka-new-disk={NEW}$"):
        empty(answer(registered=True, directory=NEW), keys)
    with pytest.raises(setup.Refused, match="no other broker answers"):
        empty(NOBODY, keys)


@pytest.mark.parametrize(
    ("keys", "new_fleet", "allows"),
    [
        ({}, False, False),
        ({}, True, True),
        ({"new-cluster": "2026-11-28"}, False, True),
        ({"new-cluster": "2026-11-27"}, False, True),  # the clock was of another zone
        ({"new-cluster": "2026-11-26"}, False, False),
        ({"new-cluster": "2027-11-28"}, False, False),
        ({"initial-controllers": f"2@localhost:9093:{TWO}"}, False, True),  # as in the smoke test
        ({"initial-controllers": f"1@localhost:9093:{TWO}"}, False, False),
    ],
)
def test_what_says_that_there_is_no_cluster_does_not_hold_later(
    keys: dict[str, str], new_fleet: bool, allows: bool
) -> None:
    found = setup.permission({**KEYS, **keys}, new_fleet=new_fleet, today=TODAY)
    assert bool(found) is allows


OTHERS = st.builds(
    setup.Others,
    answered=st.just(True),
    cluster=st.sampled_from([CLUSTER, NEW]),
    registered=st.booleans(),
    directory=st.sampled_from([None, ONE, TWO, NEW]),
)


@given(
    others=OTHERS | st.just(NOBODY),
    node=st.sampled_from(["1", "2", "4"]),
    new_disk=st.sampled_from(["", ONE, TWO, NEW, "broker"]),
    days=st.integers(-3, 400),
    new_fleet=st.booleans(),
)
def test_no_second_cluster_whatever_is_said_and_answered(
    others: Any, node: str, new_disk: str, days: int, new_fleet: bool
) -> None:
    keys = {**KEYS, "node-id": node, "new-disk": new_disk}
    keys["new-cluster"] = (TODAY - timedelta(days=days)).isoformat()
    allowed = setup.permission(keys, new_fleet=new_fleet, today=TODAY)
    try:
        made = empty(others, keys, allowed)
    except setup.Refused:
        return
    if made.arguments[0] == "--initial-controllers":
        assert new_fleet or -1 <= days <= 1, "nothing has said that there is no cluster"
        assert not others.registered
        assert others.directory in {None, {"1": ONE, "2": TWO}.get(node)}
        assert others.cluster in {"", CLUSTER}
    elif not others.answered:
        assert allowed


@pytest.mark.parametrize(
    ("servers", "others"),
    [
        ("localhost:9092", []),
        ("127.0.0.1:9092, [::1]:9092", []),
        ("", []),
        ("localhost:9092,kafka-2.internal:9092", ["kafka-2.internal:9092"]),
        ("10.0.0.2:9092,10.0.0.3:9092", ["10.0.0.2:9092", "10.0.0.3:9092"]),
        ("localhost.example.com:9092", ["localhost.example.com:9092"]),
    ],
)
def test_other_brokers_are_never_on_the_loopback(servers: str, others: list[str]) -> None:
    text = f"bootstrap.servers={servers}\nbroker.log=/var/log/kafka/server.log\n"
    assert setup.others_of(text) == others


def test_a_cluster_of_one_asks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(setup, "AGENT", tmp_path / "agent.properties")
    monkeypatch.setattr(setup.subprocess, "run", lambda *words, **_: asked.append(words))
    setup.AGENT.write_text("bootstrap.servers=localhost:9092\n")
    assert setup.ask_others() == setup.Others()
    assert asked == []
    assert "there is no other broker to ask" in capsys.readouterr().out
