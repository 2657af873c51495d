"""The reason of a failed try, in one line: an XCom, for the result and the note of the run."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from bakehouse.core.errors import BakehouseError
from bakehouse.core.tasks import REASON

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

MOST = 300  # characters: a run's note has a thousand


def one_line(error: BaseException) -> str:
    """Return the first line of an error's message; an error of somebody else's with its name."""
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    known = isinstance(error, BakehouseError) or isinstance(error.__cause__, BakehouseError)
    text = said if said and known else ": ".join(filter(None, (type(error).__name__, said)))
    return text if len(text) <= MOST else f"{text[: MOST - 1]}…"


def keep_reason(context: Context, error: BaseException) -> None:
    """Keep the reason of this try; whatever comes of that, the try fails with its own error."""
    ti: Any = context["ti"]
    try:
        ti.xcom_push(key=REASON, value=one_line(error))
    except Exception as problem:
        log.warning("the reason was not kept: %s", problem)
