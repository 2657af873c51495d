"""Parses one DAG file as the DAG processor does and prints what that took; see bench/dags.py.

One JSON object: seconds of processor time for `airflow` (importing Airflow), `parse` (DagBag over
the file, with all that it imports), `again` (the same once more, with nothing left to import),
`serialize` (turning the DAGs into what the processor stores), and the `number` of DAGs.
"""

from __future__ import annotations

import json
import sys
import time


def main(file: str) -> None:
    """A file with import errors, or without DAGs, has no figure."""
    marks = [time.process_time()]
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import DagSerialization

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
    names = ("airflow", "parse", "again", "serialize")
    took = {name: end - begin for name, begin, end in zip(names, marks, marks[1:], strict=False)}
    print(json.dumps({**took, "number": len(bag.dags)}))


if __name__ == "__main__":
    main(sys.argv[1])
