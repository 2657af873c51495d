"""Answers that the runs of one night share: `<ledger>/shared/<hash of the question>.gz`.

Recipes that are due at the same time ask the same: which image is a base's newest, which images
there are, what an archive's Release file says. An answer serves every run that started before it
was read, so no run plans on a world that is older than its own start. Tasks that find no answer at
the same moment all ask; nobody waits for another. A missing or damaged entry is read again.
"""

from __future__ import annotations

import gzip
import logging
import zlib
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from airflow.sdk import ObjectStoragePath

from bakehouse.history.objects import write

if TYPE_CHECKING:
    from collections.abc import Callable

CLOCKS_DIFFER = timedelta(seconds=2)  # of the workers and the scheduler, at most

log = logging.getLogger(__name__)


class Answer(NamedTuple):
    """What was read, and when the reading began."""

    began: datetime
    data: bytes


class SharedReads:
    """The answers beside the ledger, as one run may use them.

    Args:
        ledger: The ledger's URL.
        since: An answer whose reading began before is too old, such as the run's start.
    """

    def __init__(self, ledger: str, since: datetime) -> None:
        self._folder = ObjectStoragePath(ledger) / "shared"
        self._since = since

    def read(self, question: str, ask: Callable[[], bytes]) -> bytes:
        """Return another run's answer, if it is new enough; else ask, and keep the answer."""
        found = self.latest(question)
        if found is not None and self.is_current(found):
            return found.data
        return self.ask(question, ask)

    def ask(self, question: str, ask: Callable[[], bytes]) -> bytes:
        """Ask, and keep the answer for others; an error is nobody's answer."""
        began = datetime.now(UTC)
        data = ask()
        entry = self._entry(question)
        try:
            write(entry, gzip.compress(began.isoformat().encode() + b"\n" + data, 1))
        except OSError as refused:
            log.warning("an answer could not be kept for other runs in %s: %s", entry, refused)
        return data

    def latest(self, question: str) -> Answer | None:
        """Return the newest answer, however old it is; None without one."""
        try:
            began, _, data = gzip.decompress(self._entry(question).read_bytes()).partition(b"\n")
            return Answer(datetime.fromisoformat(began.decode()), data)
        except (OSError, EOFError, zlib.error, ValueError):
            return None  # missing, or incomplete because it is being written

    def is_current(self, answer: Answer) -> bool:
        """Whether this run may use it."""
        return answer.began >= self._since + CLOCKS_DIFFER

    def _entry(self, question: str) -> ObjectStoragePath:
        return self._folder / f"{sha256(question.encode()).hexdigest()[:32]}.gz"
