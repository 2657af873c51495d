"""Airflow gets the plugin once: from the entry point, or from plugins/ without one."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from airflow._shared.module_loading import find_path_from_directory
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


@pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")  # Airflow's own
def test_airflow_executes_one_file_below_plugins() -> None:
    """It would run every other one under its bare name, also those that machines run."""
    found = find_path_from_directory(PROJECT / "plugins", ".airflowignore", "glob")
    assert [Path(file) for file in found if file.endswith(".py")] == [Path(FILE)]
