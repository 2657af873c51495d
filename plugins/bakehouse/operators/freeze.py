"""Reads the freeze, in a worker or, in a thread, in the triggerer."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from bakehouse.core.errors import TransientError
from bakehouse.core.freeze import VARIABLE, Freeze, parse_freeze

LOOK_EVERY = 10.0  # seconds between two reads of all that wait in one triggerer


def read_freeze() -> Freeze | None:
    """Return the freeze that is on now; None if none is.

    `Variable.get` answers the default when the API server fails too, so an absence is asked for
    again: what cannot be read may be a freeze.

    Raises:
        TransientError: Airflow did not say whether there is one.
    """
    from airflow.sdk import Variable

    from bakehouse.triggers.supervisor_comms import variable_or_error

    try:
        value = Variable.get(VARIABLE, default=None)
    except Exception as refused:  # whatever a secrets backend raises: it may hold a freeze
        raise TransientError(f"the Variable {VARIABLE} cannot be read: {refused}") from refused
    if value is None:
        value, error = variable_or_error(VARIABLE)
        if error:
            raise TransientError(f"the Variable {VARIABLE} cannot be read: {error}")
    return parse_freeze(value)


@dataclass
class _Seen:
    at: float = float("-inf")  # by the monotonic clock
    freeze: Freeze | None = None


_seen = _Seen()


async def freeze_of_late() -> Freeze | None:
    """Return the freeze as of at most `LOOK_EVERY` ago, read once for all that wait.

    Raises:
        TransientError: Airflow did not say whether there is one.
    """
    if time.monotonic() - _seen.at >= LOOK_EVERY:
        _seen.freeze = await asyncio.to_thread(read_freeze)
        _seen.at = time.monotonic()
    return _seen.freeze
