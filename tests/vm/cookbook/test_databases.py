"""What the cookbook's recipes keep on a data disk is there when the boot disk is replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.vm.cookbook.kitchen import Member, health_of

if TYPE_CHECKING:
    from tests.vm.cookbook.kitchen import Kitchen


@pytest.mark.parametrize("name", ["postgres", "mariadb", "rabbitmq", "etcd", "prometheus"])
def test_rows_survive_another_boot_disk(kitchen: Kitchen, name: str) -> None:
    image = kitchen.build(name)
    member = Member(kitchen.compute(), f"{name}-1", name)
    first = member.create(image, data_disk=True)
    assert first.rows == ("row-1",), "a new disk has no rows of the builder's or the smoke test's"
    assert "is blank and is formatted" in first.serial
    assert health_of(first.serial), "health says what the service has answered"
    second = member.swap(image)
    member.delete()
    assert second.rows == ("row-1", "row-2")
    assert "is blank and is formatted" not in second.serial
    assert second.own == first.own, "what is made at the first boot is kept with the data"
