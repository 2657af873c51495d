from __future__ import annotations

import subprocess
import sys

import pytest
from tests.support.paths import PROJECT

PLUGINS = PROJECT / "plugins"
STARTS = """
import sys
sys.argv = ["airflow", *{arguments}]
from bakehouse import preload
preload.on_starting(component=None)
import threading
known = ("googleapiclient.discovery", "bakehouse.rollout.triggers", "bakehouse.dag_factory.rollout")
print(*(name in sys.modules for name in known), threading.active_count())
"""


def started(*arguments: str) -> str:
    code = STARTS.format(arguments=list(arguments))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(PLUGINS), "PATH": "", "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip().splitlines()[-1]


def test_the_scheduler_has_what_tasks_import_before_it_forks_and_no_thread_of_it() -> None:
    assert started("scheduler", "--skip-serve-logs") == "True True True 1"


def test_the_triggerer_has_what_triggers_import_before_it_forks() -> None:
    assert started("triggerer", "--skip-serve-logs") == "True True False 1"


@pytest.mark.long
def test_no_other_component_pays_for_it() -> None:
    assert started("dag-processor") == "False False False 1"
