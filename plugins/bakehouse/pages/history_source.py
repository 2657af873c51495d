"""Reads the ledger and the list of images for the pages, and keeps what was read.

A question is answered from what was read last, and while that is older than FRESH one thread reads
again: nobody waits but the first, and who asks after nobody has for STALE seconds. Compute Engine
is asked for one list of images of each kind, every COMPUTE_FRESH seconds at most, and never for a
single row.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from bakehouse.history.cut_short import cut_short
from bakehouse.pages.answers import Source
from bakehouse.pages.read_model import ReadModel, build, no_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bakehouse.history.events import LedgerEvent

FRESH = 5.0  # seconds
COMPUTE_FRESH = 60.0
STALE = 60.0  # what is older than this is waited for
FIRST_READ = 60.0  # seconds that a question waits at most

log = logging.getLogger(__name__)
Images = list[dict[str, Any]]


class Snapshot(NamedTuple):
    """What was read, and from where."""

    model: ReadModel
    source: Source


class StillReading(RuntimeError):
    """The ledger was not read within FIRST_READ; a later question will find it read."""


class HistorySource:
    """What the pages show.

    Args:
        events: Reads all events of the ledger, the oldest first; it may raise anything.
        images: Lists the images; empty where that cannot be done.
        commit_url: Makes the address of a commit's web page.
        signed: Says of listed images whether they are as they were signed: name -> state.
        run_state: The state of a DAG's run; None if Airflow does not know the run.
        clock: A monotonic clock, in seconds.
    """

    def __init__(
        self,
        events: Callable[[], Sequence[LedgerEvent]],
        images: Callable[[], Images] = list,
        commit_url: Callable[[], Callable[[str], str | None]] = lambda: no_url,
        signed: Callable[[Images], Mapping[str, str]] = lambda _: {},
        run_state: Callable[[str, str], str | None] = lambda *_: "running",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._events, self._images, self._commit_url = events, images, commit_url
        self._signed, self._run_state, self._clock = signed, run_state, clock
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="bakehouse-history")
        self._lock = threading.Lock()
        self._reading: Future[Snapshot] | None = None
        self._last: Snapshot | None = None
        self._read_at = self._listed_at = float("-inf")
        self._listed: Images = []
        self._listed_signed: Mapping[str, str] = {}

    def current(self) -> Snapshot:
        """Return what was read last, or wait for it. Raises StillReading."""
        with self._lock:
            if self._reading is None and self._clock() - self._read_at > FRESH:
                self._reading = self._pool.submit(self._read_and_keep)
            reading, last = self._reading, self._last
            is_stale = self._clock() - self._read_at > STALE
        if last is not None and not (is_stale and reading):
            return last
        if reading is None:  # the last one failed a moment ago
            raise StillReading("the ledger could not be read: ask again in a moment")
        try:
            return reading.result(FIRST_READ)
        except TimeoutError as late:
            raise StillReading("the ledger is still being read: ask again in a minute") from late

    def _read_and_keep(self) -> Snapshot:
        try:
            found = self._read()
        except BaseException:
            log.exception("the history cannot be worked out")
            with self._lock:
                self._reading, self._read_at = None, self._clock()
            raise
        with self._lock:
            self._reading, self._read_at, self._last = None, self._clock(), found
        return found

    def _read(self) -> Snapshot:
        events, problem = self._read_events()
        images = self._list_images()
        now = datetime.now(UTC)
        model = build(events, now, images, self._commit_url(), self._listed_signed)
        source = Source(ledger=not problem, problem=problem, compute=bool(images), read=now)
        return Snapshot(model, source)

    def _read_events(self) -> tuple[Sequence[LedgerEvent], str]:
        try:
            events, over = cut_short(self._events, self._state_of, datetime.now(UTC), "the page")
            return [*events, *over], ""
        except Exception as unreadable:  # of any file system: the page says it and shows the rest
            log.warning("the ledger cannot be read: %s", unreadable)
            return [], f"the API server cannot read the ledger: {type(unreadable).__name__}"

    def _state_of(self, dag_id: str, run_id: str) -> str | None:
        """Of a run that cannot be asked about, the ledger's word stands."""
        try:
            return self._run_state(dag_id, run_id)
        except Exception as refused:  # of any database
            log.warning("the state of %s of %s cannot be read: %s", run_id, dag_id, refused)
            return "running"

    def _list_images(self) -> Images:
        if self._clock() - self._listed_at > COMPUTE_FRESH:
            try:
                self._listed = self._images()
            except Exception as refused:  # of any client: sizes are then unknown, and nothing else
                log.warning("the images cannot be listed: %s", refused)
                self._listed = []
            self._listed_signed = self._signed_states(self._listed)
            self._listed_at = self._clock()
        return self._listed

    def _signed_states(self, images: Images) -> Mapping[str, str]:
        try:
            return self._signed(images)
        except Exception as unreadable:  # keys or statements: rollouts refuse, the page shows none
            log.warning("the signatures of the images cannot be read: %s", unreadable)
            return {}
