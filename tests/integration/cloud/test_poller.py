from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from bakehouse.cloud.poller import Cloud, Poller, Tick
from bakehouse.core.errors import PermanentError


class Server:
    def __init__(self, *, fails: int = 0) -> None:
        self.calls = 0
        self.fails = fails

    def fetch(self) -> list[dict[str, str]]:
        self.calls += 1
        if self.calls <= self.fails:
            raise ConnectionResetError("reset")
        return [{"name": "bake-1", "status": "RUNNING"}]


def poller(server: Server, interval: float = 0.02) -> Poller:
    return Poller.of(("test", id(server)), server.fetch, interval)


async def test_one_call_serves_every_waiter() -> None:
    server = Server()
    ticks = await asyncio.gather(*(poller(server).next() for _ in range(200)))
    assert server.calls == 1
    assert {tick.items["bake-1"]["status"] for tick in ticks} == {"RUNNING"}


async def test_each_tick_is_a_new_look() -> None:
    server = Server()
    for _ in range(3):
        await poller(server).next()
    assert server.calls == 3


async def test_an_error_is_handed_over_and_the_next_tick_comes() -> None:
    server = Server(fails=1)
    first = await poller(server).next()
    second = await poller(server).next()
    assert isinstance(first.error, ConnectionResetError)
    assert second.items


async def test_a_cancelled_waiter_leaves_the_others_alone() -> None:
    server = Server()
    waiting = [asyncio.create_task(poller(server).next()) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    assert (await waiting[1]).error is None
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]


async def test_nobody_waiting_means_no_calls() -> None:
    server = Server()
    await poller(server).next()
    await asyncio.sleep(0.2)
    calls = server.calls
    assert calls <= 2
    await asyncio.sleep(0.1)
    assert server.calls == calls


async def test_a_poller_that_has_gone_to_sleep_wakes_up_again() -> None:
    server = Server()
    await poller(server).next()
    await asyncio.sleep(0.2)
    tick: Tick = await asyncio.wait_for(poller(server).next(), timeout=100)
    assert tick.items


async def test_who_cannot_wait_as_long_as_the_others_shortens_the_pause_for_all() -> None:
    server, others = Server(), Server()
    await poller(server, 3600).next()
    patient = asyncio.create_task(poller(server, 3600).next())
    await asyncio.sleep(0)
    hurried = await asyncio.wait_for(poller(server, 3600).next(0.01), timeout=100)
    assert hurried.items
    assert await patient == hurried
    again = await asyncio.wait_for(poller(server, 3600).next(0.01), timeout=100)
    assert again.items
    assert server.calls == 3

    await poller(others, 3600).next()
    alone = asyncio.create_task(poller(others, 3600).next())
    await asyncio.sleep(0.1)
    assert not alone.done(), "nobody has hurried this one"
    alone.cancel()


async def test_nobody_hurries_a_server_that_has_refused() -> None:
    server = Server(fails=1)
    assert (await poller(server, 3600).next(0.01)).error is not None
    hurried = asyncio.create_task(poller(server, 3600).next(0.01))
    await asyncio.sleep(0.1)
    assert (hurried.done(), server.calls) == (False, 1)
    hurried.cancel()


def test_a_loop_that_has_ended_leaves_nothing_to_the_next_one() -> None:
    server = Server()

    async def once() -> Tick:
        return await Poller.of("one key", server.fetch, 60).next()

    for _ in range(20):
        assert asyncio.run(once()).items
    assert server.calls == 20


class Hooks:
    """Connections to one project; `refused` may not list."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.refused: set[str] = set()

    def of(self, conn_id: str) -> Any:
        def instance_states(zone: str, filter_: str) -> list[dict[str, str]]:  # ruff: ignore[unused-function-argument]  as in the function that it replaces
            self.asked.append(f"{conn_id} {zone}")
            if conn_id in self.refused:
                raise PermanentError("HTTP 403")
            return [{"name": "bake-1", "status": "RUNNING"}]

        known = {"project": "p", "endpoint": None, "poll_interval": 0.02, "reads_per_minute": 9000}
        return SimpleNamespace(**known, instance_states=instance_states)


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> Hooks:
    found = Hooks()
    monkeypatch.setattr("bakehouse.cloud.poller.hook_of", found.of)
    return found


async def test_connections_of_one_project_share_one_list_call_a_zone(hooks: Hooks) -> None:
    clouds = [await Cloud.of(conn_id) for conn_id in ("one", "two", "three")]
    await asyncio.gather(*(c.instances(z).next() for c in clouds for z in ("a", "b")))
    assert sorted(hooks.asked) == ["one a", "one b"]
    assert len({id(cloud.rate_limiter) for cloud in clouds}) == 1


async def test_a_connection_that_may_not_list_leaves_it_to_another(hooks: Hooks) -> None:
    hooks.refused = {"one"}
    one, two = await Cloud.of("one"), await Cloud.of("two")
    first, second = await asyncio.gather(one.instances("a").next(), two.instances("a").next())
    assert first.items == second.items != {}
    await one.instances("a").next()
    assert hooks.asked == ["one a", "two a", "two a"]


async def test_alone_it_hears_that_it_may_not_list(hooks: Hooks) -> None:
    hooks.refused = {"one"}
    cloud = await Cloud.of("one")
    assert isinstance((await cloud.instances("a").next()).error, PermanentError)
    assert hooks.asked == ["one a"]
