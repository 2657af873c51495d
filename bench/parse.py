"""Parses one DAG file as the DAG processor does and prints what that took; see bench/dags.py.

One JSON object: seconds of processor time for `airflow` (importing Airflow), `parse` (DagBag over
the file, with all that it imports), `again` (the same once more, with nothing left to import),
`serialize` (turning the DAGs into what the processor stores), `task` (DagBag over the file as a
worker does that runs a task of the last DAG), the `number` of DAGs, and the `megabytes` of memory
that the process has taken at most since Airflow's import, by the end of `serialize`.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time


def main(file: str) -> None:
    """A file with import errors, or without DAGs, has no figure."""
    marks = [time.process_time()]
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import DagSerialization

    imported = peak()
    marks.append(time.process_time())
    bag = DagBag(dag_folder=file)
    marks.append(time.process_time())
    if bag.import_errors or not bag.dags:
        raise SystemExit("\n".join(bag.import_errors.values()) or f"no DAGs in {file}")
    DagBag(dag_folder=file)
    marks.append(time.process_time())
    for dag in bag.dags.values():
        DagSerialization.to_dict(dag)
    marks.append(time.process_time())
    megabytes = peak() - imported
    os.environ["_AIRFLOW_PARSING_CONTEXT_DAG_ID"] = max(bag.dags)
    if list(DagBag(dag_folder=file).dags) != [max(bag.dags)]:
        raise SystemExit("a worker gets other DAGs than its own")
    marks.append(time.process_time())
    names = ("airflow", "parse", "again", "serialize", "task")
    took = {name: end - begin for name, begin, end in zip(names, marks, marks[1:], strict=False)}
    print(json.dumps({**took, "number": len(bag.dags), "megabytes": megabytes}))


def peak() -> float:
    """Return the most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(sys.argv[1])
