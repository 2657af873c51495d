"""The cookbook's apps and proxies serve; what is made at first boot belongs to one boot disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.vm.cookbook.kitchen import Member, health_of

if TYPE_CHECKING:
    from tests.vm.cookbook.kitchen import Kitchen


@pytest.mark.parametrize("name", ["docker", "jvm"])
def test_notes_of_an_app_survive_another_boot_disk(kitchen: Kitchen, name: str) -> None:
    image = kitchen.build(name)
    member = Member(kitchen.compute(), f"{name}-1", name)
    first = member.create(image, data_disk=True)
    assert first.rows == ("row-1",)
    assert health_of(first.serial), "health says what the app has answered"
    second = member.swap(image)
    member.delete()
    assert second.rows == ("row-1", "row-2")
    if name == "docker":
        assert second.own != first.own, "the id of the engine is made at the first boot"


@pytest.mark.parametrize("name", ["node", "python"])
def test_an_app_without_a_data_disk_serves(kitchen: Kitchen, name: str) -> None:
    image = kitchen.build(name)
    member = Member(kitchen.compute(), f"{name}-1", name)
    told = member.create(image, data_disk=False)
    member.delete()
    assert told.rows == ("row-1",)
    assert health_of(told.serial), "health says what the app has answered"


def test_each_proxy_makes_its_own_certificate(kitchen: Kitchen) -> None:
    image = kitchen.build("haproxy")
    servers = {"haproxy-servers": "127.0.0.1:8081"}
    told = []
    for name in ("haproxy-1", "haproxy-2"):
        member = Member(kitchen.compute(), name, "haproxy")
        told.append(member.create(image, data_disk=False, metadata=servers))
        member.delete()
    assert [each.rows for each in told] == [("row-1",), ("row-1",)]
    assert told[0].own != told[1].own
