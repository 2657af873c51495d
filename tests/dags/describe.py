"""Load every DAG as Airflow does and write what the rules look at, as JSON.

A process of its own: what it imports is what parsing a DAG costs.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

HEAVY = (
    "google.cloud.compute_v1",
    "googleapiclient",
    "airflow.providers.google.common.hooks.base_google",
    "pandas",
    "numpy",
    "pyarrow",
    "git",
)


def sla_of(found: Any) -> Any:
    """Of a task, or of what a mapped task is made from."""
    return getattr(found, "sla", None) or getattr(found, "partial_kwargs", {}).get("sla")


def bases_of(found: Any) -> list[str]:
    kind = getattr(found, "operator_class", type(found))
    return [f"{base.__module__}.{base.__qualname__}" for base in kind.__mro__]


def task(found: Any) -> dict[str, Any]:
    return {
        "class": f"{type(found).__module__}.{type(found).__qualname__}",
        "bases": bases_of(found),
        "owner": found.owner,
        "doc": found.doc_md or "",
        "retries": found.retries,
        "backoff": bool(found.retry_exponential_backoff),
        "max_retry_delay": bool(found.max_retry_delay),
        "timeout": found.execution_timeout.total_seconds() if found.execution_timeout else None,
        "sla": sla.total_seconds() if (sla := sla_of(found)) else None,
        "upstream": sorted(up.task_id for up in found.get_flat_relatives(upstream=True)),
        "downstream": sorted(down.task_id for down in found.get_flat_relatives(upstream=False)),
        "next": sorted(found.downstream_task_ids),
        "setup": found.is_setup,
        "teardown": found.is_teardown,
        "params": len(found.params),
        "setups": sorted(t.task_id for t in found.upstream_list if t.is_setup),
        "group": found.task_group.group_id if found.task_group else None,
        "fails_the_run": getattr(found, "on_failure_fail_dagrun", False),
    }


def form(dag: Any) -> dict[str, Any]:
    """What stands in it at first; fields that somebody has to fill in are not in it."""
    given = {name: dag.params.get_param(name) for name in dag.params}
    return {name: param.value for name, param in given.items() if param.has_value}


def main(folder: str) -> None:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import DagSerialization

    begun = time.process_time()
    bag = DagBag(dag_folder=folder)
    seconds = time.process_time() - begun
    dags = {
        dag.dag_id: {
            "owner": dag.owner,
            "doc": dag.doc_md or "",
            "tags": sorted(dag.tags),
            "catchup": dag.catchup,
            "dagrun_timeout": bool(dag.dagrun_timeout),
            "params": sorted(dag.params),
            "form": form(dag),
            "schedule": getattr(dag.timetable, "summary", "None"),
            "serialised": bool(DagSerialization.to_dict(dag)),
            "tasks": {t.task_id: task(t) for t in dag.tasks},
        }
        for dag in bag.dags.values()
    }
    heavy = [name for name in HEAVY if name in sys.modules]
    told = {"seconds": seconds, "errors": bag.import_errors, "heavy": heavy, "dags": dags}
    Path(sys.argv[2]).write_text(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1])
