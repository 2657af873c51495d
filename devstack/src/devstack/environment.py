"""The environment of a stack's processes: Airflow's settings, as variables."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from devstack.credentials import USER, Credentials
from devstack.processes import MARK, mark_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devstack.layout import Layout
    from devstack.record import Record

# Seconds. A request for a change that comes while a task is being started can freeze the API server
# for this long (docs/decisions/0151); a worker asks it for half a minute before it gives up.
SQLITE_TIMEOUT = 20


def stack_environment(
    layout: Layout, record: Record, keys: Credentials, base: Mapping[str, str]
) -> dict[str, str]:
    """`base` is the caller's environment, of which Airflow's and Python's variables are dropped."""
    project = Path(record.project)
    dropped = ("AIRFLOW", "PYTHON", "SUPERVISOR")
    return {
        **{name: value for name, value in base.items() if not name.startswith(dropped)},
        **_process_variables(layout, project, base),
        **_airflow_variables(layout, project, record, keys),
        **record.topology.settings,
    }


def _process_variables(layout: Layout, project: Path, base: Mapping[str, str]) -> dict[str, str]:
    local = ",".join(filter(None, [base.get("NO_PROXY"), "127.0.0.1,localhost"]))
    return {
        MARK: mark_of(layout.state),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{base.get('PATH', os.defpath)}",
        "PYTHONPATH": str(project / "plugins"),
        "PYTHONUNBUFFERED": "1",
        # setproctitle would otherwise write over the environment that the mark is read from
        "SPT_NOENV": "1",
        "NO_PROXY": local,
        "no_proxy": local,
        "SCARF_ANALYTICS": "false",
    }


def _airflow_variables(
    layout: Layout, project: Path, record: Record, keys: Credentials
) -> dict[str, str]:
    values = {
        "AIRFLOW_HOME": layout.airflow_home,
        "AIRFLOW__CORE__DAGS_FOLDER": project / "dags",
        "AIRFLOW__CORE__PLUGINS_FOLDER": project / "plugins",
        "AIRFLOW__CORE__LOAD_EXAMPLES": False,
        "AIRFLOW__CORE__EXECUTOR": "devstack.executor.LastWordExecutor",
        "AIRFLOW__BAKEHOUSE__FIRST_LOOK": 0,  # that executor does not mind
        "AIRFLOW__CORE__PARALLELISM": 8,
        "AIRFLOW__CORE__FERNET_KEY": keys.fernet_key,
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": layout.passwords,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{record.airflow_url}/execution/",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": (
            f"sqlite:///{layout.airflow_home / 'airflow.db'}?timeout={SQLITE_TIMEOUT}"
        ),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": record.airflow_port,
        "AIRFLOW__API__BASE_URL": record.airflow_url,
        "AIRFLOW__API__WORKERS": 1,
        "AIRFLOW__API__SECRET_KEY": keys.api_secret,
        "AIRFLOW__API_AUTH__JWT_SECRET": keys.jwt_secret,
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": 0.25,
        # a task's end is noticed after a second instead of five
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": 1,
        # a task whose worker was killed is tried again after a minute instead of five
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": 60,
        # what a scheduler that was killed had begun is taken over within a minute instead of five
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": 30,
        # the waits of a triggerer that was killed go on after 12 s instead of 30
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": 4,
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": 12,
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": 10,
        # it is of the wall clock: 30 s are not enough beside emulated machines
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": 180,
        "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": 240,
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": False,
    }
    return {name: str(value) for name, value in values.items()}
