"""Creates or migrates a stack's Airflow database; writes connections, pools and variables.

    python -m devstack.prepare  < settings as JSON

Runs in a process of its own, with the stack's environment: Airflow reads its settings on import.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from airflow.models.connection import Connection
from airflow.models.pool import Pool
from airflow.models.variable import Variable
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from sqlalchemy import select


def write_connections(session: Any, connections: dict[str, Any]) -> None:
    """Write the connections, each a URI or a dictionary; replaces those of the same name."""
    for name, form in connections.items():
        old = session.scalar(select(Connection).where(Connection.conn_id == name))
        if old is not None:
            session.delete(old)
            session.flush()
        if isinstance(form, str):
            session.add(Connection(conn_id=name, uri=form))
        else:
            session.add(Connection.from_json(json.dumps(form), conn_id=name))


def main() -> None:
    """Create the database, and the connections, pools and variables read from stdin."""
    settings = json.load(sys.stdin)
    initdb()
    with create_session() as session:
        write_connections(session, settings["connections"])
        for name, (slots, description) in settings["pools"].items():
            Pool.create_or_update_pool(
                name, slots, description, include_deferred=False, session=session
            )
        for name, value in settings["variables"].items():
            Variable.set(name, value, session=session)


if __name__ == "__main__":
    main()
