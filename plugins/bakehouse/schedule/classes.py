"""Whether DAGs use the classes that Bakehouse registers with Airflow, or Airflow's own only.

`[bakehouse] timetable = builtin` (`AIRFLOW__BAKEHOUSE__TIMETABLE`) is for a scheduler that loads no
plugin. It is chosen by a person: a plugin that fails to load must not change when images are baked.
docs/decisions/0125-where-no-plugin-is-registered.md says what is lost.
"""

from __future__ import annotations

from airflow.sdk.configuration import conf

OWN, BUILTIN = "bakehouse", "builtin"


def only_builtin() -> bool:
    """Whether only classes of Airflow itself may stand in a DAG.

    Raises:
        ValueError: The setting has another value.
    """
    value = str(conf.get("bakehouse", "timetable", fallback=OWN)).strip()
    if value not in {OWN, BUILTIN}:
        raise ValueError(f"[bakehouse] timetable is {value!r}: write {OWN} or {BUILTIN}")
    return value == BUILTIN
