"""Read what the stack of `make up` leaves in its folder: Airflow's environment and its address.

The folder is the interface: Bakehouse imports nothing of the development stack.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

URL, TOKEN = "BAKEHOUSE_AIRFLOW_URL", "BAKEHOUSE_AIRFLOW_TOKEN"
USER, PASSWORD = "BAKEHOUSE_AIRFLOW_USER", "BAKEHOUSE_AIRFLOW_PASSWORD"


class NoStack(RuntimeError):
    """There is no Airflow to talk to; the message says what to do, in one line."""


class Server(NamedTuple):
    """Where Airflow's API answers, and how to log in: by a token, else by user and password."""

    url: str
    token: str = ""
    user: str = ""
    password: str = ""


def stack_folder(project: Path) -> Path:
    """Return the folder of the stack that `make up` starts, which need not exist."""
    return project / ".bakehouse" / "up"


def stack_environment(project: Path) -> dict[str, str] | None:
    """Return the variables that Airflow's programs have in the stack; None if there is no stack."""
    found = _read(stack_folder(project) / "environment.json")
    return None if found is None else {str(name): str(value) for name, value in found.items()}


def server_of(project: Path, environment: Mapping[str, str]) -> Server:
    """Return the Airflow that this shell names, else that of the stack of `make up`.

    Raises:
        NoStack: Neither is there.
    """
    if url := environment.get(URL):
        return Server(
            url.rstrip("/"),
            environment.get(TOKEN, ""),
            environment.get(USER, ""),
            environment.get(PASSWORD, ""),
        )
    folder = stack_folder(project)
    record, passwords = _read(folder / "stack.json"), _read(folder / "passwords.json")
    if not record or not passwords or not isinstance(record.get("airflow_port"), int):
        raise NoStack(
            f"no Airflow: `make up` starts one here; for another one set {URL},"
            f" and {TOKEN} or {USER} and {PASSWORD}"
        )
    user, password = next(iter(passwords.items()))
    return Server(f"http://127.0.0.1:{record['airflow_port']}", "", str(user), str(password))


def _read(file: Path) -> dict[str, object] | None:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
