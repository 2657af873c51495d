"""The errors of a task as Bakehouse raised them, before Airflow's own took their place."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowException

from bakehouse.core.errors import BakehouseError

if TYPE_CHECKING:
    from collections.abc import Generator


@contextmanager
def bakehouse_errors() -> Generator[None]:
    """Raises the cause that the retry policy reads."""
    try:
        yield
    except AirflowException as error:
        if isinstance(error.__cause__, BakehouseError):
            raise error.__cause__ from None
        raise
