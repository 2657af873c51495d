"""Which processes import the libraries of the tasks that they fork."""

from __future__ import annotations

import importlib
import runpy
import sys

import pytest

from bakehouse.local.environment import PRELOAD


@pytest.mark.parametrize(
    ("arguments", "imports"),
    [
        (["airflow", "scheduler", "--skip-serve-logs"], True),
        (["airflow", "celery", "worker"], True),
        (["airflow", "dag-processor"], False),
        (["airflow", "dags", "list", "scheduler"], False),
        (["airflow"], False),
    ],
)
def test_only_who_forks_tasks_imports_their_libraries(
    arguments: list[str], imports: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported: list[str] = []
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setattr(importlib, "import_module", imported.append)
    module = runpy.run_path(str(PRELOAD / "airflow_local_settings.py"))
    assert imported == (list(module["LIBRARIES"]) if imports else [])
    assert module["__all__"] == [], "Airflow takes whatever else for a setting of its own"


def test_they_are_libraries_that_there_are() -> None:
    module = runpy.run_path(str(PRELOAD / "airflow_local_settings.py"))
    for library in module["LIBRARIES"]:
        assert not library.startswith("bakehouse"), "a task must read our own files anew"
        assert importlib.util.find_spec(library), library
