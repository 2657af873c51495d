"""The request id of a change: Compute Engine performs calls with the same id only once."""

from __future__ import annotations

import uuid
from collections import Counter


def request_id(run: str, task: str, step: str) -> str:
    """Return the request id of a step of a run and task."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"bakehouse:{run}/{task}/{step}"))


class RequestIds:
    """The request ids of the steps of a walk, of which some may have to be asked for again.

    A step keeps its id until its outcome is known: whoever is killed meanwhile asks with the same
    one, and gets the operation that it has begun. A request after that has another id, or Compute
    Engine would answer it with the old operation and change nothing.

    A walk that begins anew counts from the first id of each step again: each of them is answered
    with the operation that it had, so that the walk comes to the one that is open, or is new.
    """

    def __init__(self, run: str, subject: str, turn: str) -> None:
        self.run, self.subject, self.turn = run, subject, turn
        self._settled: Counter[tuple[str, str]] = Counter()
        self._last: tuple[str, str] | None = None

    def of(self, step: str, part: str = "") -> str:
        """Return the id of the next request of a step, or of one of its several calls."""
        self._last = step, part
        count = self._settled[self._last]
        whole = request_id(self.run, self.subject, f"{step} {self.turn} {count}")
        return request_id(whole, part, "") if part else whole

    def settle(self) -> None:
        """Note that the outcome of the last request is known: it was refused, or has ended."""
        if self._last is not None:
            self._settled[self._last] += 1
            self._last = None
