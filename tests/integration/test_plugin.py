"""Airflow gets the plugin once: from the entry point, or from plugins/ without one."""

from __future__ import annotations

import runpy

import pytest
from tests.support.paths import PROJECT

from bakehouse import plugin

FILE = str(PROJECT / "plugins" / "bakehouse_plugin.py")


@pytest.mark.parametrize("installed", [True, False])
def test_the_plugins_folder_registers_where_no_entry_point_does(
    installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin, "has_entry_point", lambda: installed)
    names = runpy.run_path(FILE)
    assert ("BakehousePlugin" in names) is not installed


def test_this_checkout_is_installed_with_the_entry_point() -> None:
    assert plugin.has_entry_point(), "run `make setup`"
